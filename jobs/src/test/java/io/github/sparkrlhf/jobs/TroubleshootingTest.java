package io.github.sparkrlhf.jobs;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/** The messages of docs/troubleshooting.md are those of the code. */
class TroubleshootingTest {
  private static final Path ROOT = Path.of("..");

  /** Two string literals that are added. */
  private static final Pattern JOINT = Pattern.compile("\"\\s*\\+\\s*\"");

  @Test
  void everyMessageStandsInOneSource() throws IOException {
    String page = Files.readString(ROOT.resolve("docs/troubleshooting.md"));
    String messages = page.substring(0, page.indexOf("## Without a message"));
    List<String> documented =
        Pattern.compile("(?m)^\\| `([^`]+)` \\|")
            .matcher(messages)
            .results()
            .map((MatchResult row) -> row.group(1))
            .toList();
    List<String> sources = sources();
    assertThat(documented).hasSizeGreaterThan(40);
    assertThat(documented)
        .allSatisfy(message -> assertThat(sources).anyMatch(source -> has(source, message)));
    assertThat(sources).noneMatch(source -> has(source, "Cannot … the impossible"));
  }

  /** Whether the source has the parts of the message between its dots, in this order. */
  private static boolean has(String source, String message) {
    int from = 0;
    for (String part : Arrays.stream(message.split("…")).filter(p -> !p.isBlank()).toList()) {
      int at = source.indexOf(part, from);
      if (at < 0) {
        return false;
      }
      from = at + part.length();
    }
    return true;
  }

  private static List<String> sources() throws IOException {
    try (Stream<Path> common = Files.walk(ROOT.resolve("common/src/main/java"));
        Stream<Path> jobs = Files.walk(ROOT.resolve("jobs/src/main/java"))) {
      return Stream.concat(common, jobs)
          .filter(file -> file.toString().endsWith(".java"))
          .map(TroubleshootingTest::text)
          .toList();
    }
  }

  private static String text(Path source) {
    try {
      return JOINT.matcher(Files.readString(source)).replaceAll("");
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
