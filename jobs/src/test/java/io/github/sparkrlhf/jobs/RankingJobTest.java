package io.github.sparkrlhf.jobs;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.sparkrlhf.spark.SparkTestSession;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** From a log of rankings to a reward model that learned from them as wholes. */
class RankingJobTest {
  private static final Pattern HELD_OUT =
      Pattern.compile("loss ([0-9.]+) nats on held-out rows, accuracy ([0-9.]+) of their pairs");

  @TempDir static Path directory;

  @Test
  void aTransformerLearnsFromRankings() {
    SparkTestSession.get()
        .sql(
            """
            SELECT md5(cast(id AS string)) AS prompt,
              array(concat('no no ', id), concat('yes yes ', id), concat('maybe ', id)) AS responses,
              array(1, 3, 2) AS ranks
            FROM range(120)""")
        .write()
        .parquet(path("log"));
    assertThat(run("pairs", "--input", path("log"), "--layout", "ranking", "--run-id", "ranked"))
        .contains("Run ranked is complete");
    run(
        "tokenizer",
        "--input",
        "comparisons",
        "--text",
        "response_a",
        "--text",
        "response_b",
        "--vocabulary-size",
        "270",
        "--output",
        path("tokenizer"));
    String printed = reward("--listwise", "--epochs", "6", "--output", path("model"));

    Matcher heldOut = HELD_OUT.matcher(printed);
    assertThat(heldOut.find()).isTrue();
    // Three responses in any order: log 6.
    assertThat(Double.parseDouble(heldOut.group(1))).isBetween(1.6, 2.0);
    String last = heldOut.group();
    while (heldOut.find()) {
      last = heldOut.group();
    }
    Matcher end = HELD_OUT.matcher(last);
    assertThat(end.find()).isTrue();
    assertThat(Double.parseDouble(end.group(1))).isLessThan(1.0);
    assertThat(Double.parseDouble(end.group(2))).isGreaterThan(0.9);
    assertThat(CommandLineRun.of(arguments("--listwise", "--ties", "davidson")).err())
        .contains("--listwise learns from rankings");
  }

  private static String reward(String... options) {
    return run(arguments(options));
  }

  private static String[] arguments(String... options) {
    List<String> all =
        new ArrayList<>(
            List.of(
                "reward",
                "--pairs-run",
                "ranked",
                "--kind",
                "transformer",
                "--tokenizer",
                path("tokenizer"),
                "--hidden-size",
                "32",
                "--layers",
                "1",
                "--heads",
                "2",
                "--max-length",
                "64",
                "--lanes",
                "2",
                "--micro-batch",
                "8",
                "--learning-rate",
                "5e-3"));
    all.addAll(List.of(options));
    if (!all.contains("--output")) {
      all.addAll(List.of("--output", path("refused")));
    }
    all.addAll(List.of("--warehouse", path("warehouse")));
    return all.toArray(String[]::new);
  }

  private static String run(String... args) {
    List<String> all = new ArrayList<>(List.of(args));
    if (!all.contains("--warehouse")) {
      all.addAll(List.of("--warehouse", path("warehouse")));
    }
    CommandLineRun run = CommandLineRun.of(all.toArray(String[]::new));
    assertThat(run.err()).isEmpty();
    assertThat(run.exitCode()).isZero();
    return run.out();
  }

  private static String path(String name) {
    return directory.resolve(name).toString();
  }
}
