package io.github.sparkrlhf.jobs;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.apache.spark.sql.execution.SparkSqlParser;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import picocli.CommandLine.ParseResult;

/**
 * Every command of the suite in README and docs/ is one that the command line takes: its options
 * exist, have values of their type, and pass the checks that a job makes before it opens anything.
 * What reads data is not run here.
 */
class DocCommandsTest {
  private static final Path ROOT = Path.of("..");

  static List<DocCommands> commands() throws IOException {
    List<DocCommands> commands = new ArrayList<>();
    try (Stream<Path> pages = Files.list(ROOT.resolve("docs"))) {
      List<Path> files = new ArrayList<>(pages.filter(p -> p.toString().endsWith(".md")).toList());
      files.add(ROOT.resolve("README.md"));
      for (Path page : files) {
        commands.addAll(DocCommands.of(page));
      }
    }
    return commands;
  }

  @ParameterizedTest
  @MethodSource("commands")
  void theCommandLineTakesIt(DocCommands command) {
    check(command.words());
  }

  @Test
  void thePagesHaveCommandsOfEveryJob() throws IOException {
    assertThat(commands())
        .hasSizeGreaterThan(90)
        .extracting(command -> command.words().get(0))
        .containsAll(DocCommands.jobs());
  }

  @Test
  void aWrongOneFails(@TempDir Path folder) throws IOException {
    assertThatThrownBy(() -> check(written(folder, "rlhf sft --input x --output y --inputs z")))
        .hasMessageContaining("--inputs");
    assertThatThrownBy(() -> check(written(folder, "ppo --iterations many")))
        .hasMessageContaining("many");
    assertThatThrownBy(
            () -> check(written(folder, "reward --output y \\\n      --kind mlp --lanes 3")))
        .hasMessageContaining("Cannot use --lanes 3");
    assertThatThrownBy(() -> check(written(folder, "sql \"SELECT a\n      FRM b c d\"")))
        .hasMessageContaining("FRM");
    assertThatThrownBy(() -> check(written(folder, "sql \"SELECT * FROM parquet.`x`\"")))
        .hasMessageContaining("backquotes");
  }

  private static List<String> written(Path folder, String command) throws IOException {
    Path page = Files.writeString(folder.resolve("page.md"), "Text\n\n    " + command + "\n");
    return DocCommands.of(page).get(0).words();
  }

  private static void check(List<String> words) {
    String[] arguments =
        words.stream()
            .map(word -> word.startsWith("@conf/") ? "@" + ROOT.resolve(word.substring(1)) : word)
            .toArray(String[]::new);
    ParseResult parsed = Main.commandLine(System.out, System.err).parseArgs(arguments).subcommand();
    Object command = parsed.commandSpec().userObject();
    if (command instanceof JobCommand job) {
      job.validate(new Given(parsed));
    }
    if (command instanceof SqlJob && parsed.matchedPositional(0) != null) {
      new SparkSqlParser().parsePlan(parsed.matchedPositionalValue(0, ""));
    }
  }
}
