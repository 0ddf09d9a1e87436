package io.github.sparkrlhf.jobs;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.sparkrlhf.spark.SparkTestSession;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** A reward model is trained by the shaded jar on a standalone cluster of separate processes. */
class RewardClusterIT {
  private static final Duration TIMEOUT = Duration.ofMinutes(4);
  private static final Path JAR = Path.of("target", "spark-rlhf.jar").toAbsolutePath();
  private static final Pattern LAST_STEP = Pattern.compile("reward (\\d+)/\\1: loss ([0-9.]+),");

  /** A step from the 16th on; with local steps only the last step of a round has a line. */
  private static final Pattern STEP_TO_KILL_AFTER = Pattern.compile("reward (1[6-9]|[2-9]\\d)/");

  private static final int FEWEST_STEPS = 60;

  @TempDir static Path directory;
  private static StandaloneCluster cluster;

  @BeforeAll
  static void startCluster() throws IOException {
    pairs();
    cluster = StandaloneCluster.start(directory.resolve("cluster"), 4, 1, "2g");
  }

  @AfterAll
  static void stop() {
    if (cluster != null) {
      cluster.close();
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 4})
  void twoAndFourExecutorsWriteTheWeightsOfOneAlthoughOneIsKilled(int localSteps)
      throws IOException {
    // One task sums all lanes; beside it another driver has two executors.
    String alone = "alone-" + localSteps;
    String two = "two-" + localSteps;
    StandaloneCluster.Submission one =
        train(alone, localSteps, "spark.cores.max=1", "spark.default.parallelism=1");
    assertTrained(train(two, localSteps, "spark.cores.max=2"));
    assertTrained(one);
    assertThat(weights(two)).hasSameBinaryContentAs(weights(alone));

    String killed = "killed-" + localSteps;
    StandaloneCluster.Submission submission =
        train(killed, localSteps, "spark.default.parallelism=4");
    submission.awaitOutput(STEP_TO_KILL_AFTER, TIMEOUT);
    List<ProcessHandle> executors = cluster.awaitExecutors(4, TIMEOUT);
    cluster.kill(executors.get(0));
    assertThat(executors.get(0).isAlive()).isFalse();
    assertThat(submission.isRunning()).isTrue();
    assertThat(submission.output()).doesNotContainPattern(LAST_STEP);
    assertTrained(submission);
    assertThat(weights(killed)).hasSameBinaryContentAs(weights(alone));
  }

  /** A log in which the response that says yes wins, and a run of pairs and a tokenizer from it. */
  private static void pairs() {
    String log = directory.resolve("log.parquet").toString();
    SparkTestSession.get()
        .sql(
            """
            SELECT id % 2 = 0 AS first, concat('Question ', id, '?') AS prompt,
              concat('yes ', repeat('really ', cast(id % 7 AS int)), id) AS good,
              concat('no ', repeat('never ', cast(id % 5 AS int)), id) AS bad
            FROM range(220)""")
        .selectExpr(
            "prompt",
            "if(first, good, bad) AS response_a",
            "if(first, bad, good) AS response_b",
            "if(first, 'a', 'b') AS choice")
        .write()
        .parquet(log);
    run("pairs", "--input", log, "--run-id", "log", "--warehouse", warehouse());
    run(
        "tokenizer",
        "--input",
        log,
        "--text",
        "prompt",
        "--text",
        "response_a",
        "--text",
        "response_b",
        "--vocabulary-size",
        "300",
        "--output",
        directory.resolve("tokenizer").toString(),
        "--warehouse",
        warehouse());
  }

  private static void run(String... args) {
    CommandLineRun run = CommandLineRun.of(args);
    assertThat(run.err()).isEmpty();
    assertThat(run.exitCode()).isZero();
  }

  private static StandaloneCluster.Submission train(String output, int localSteps, String... conf)
      throws IOException {
    List<String> settings =
        new ArrayList<>(
            List.of(
                "spark.executor.memory=1g",
                "spark.executor.cores=1",
                "spark.ui.enabled=false",
                "spark.scheduler.minRegisteredResourcesRatio=1",
                "spark.sql.shuffle.partitions=2"));
    settings.addAll(List.of(conf));
    return cluster.submitInBackground(
        settings,
        Main.class.getName(),
        JAR,
        "reward",
        "--kind",
        "transformer",
        "--tokenizer",
        directory.resolve("tokenizer").toString(),
        "--hidden-size",
        "32",
        "--layers",
        "2",
        "--max-length",
        "64",
        "--epochs",
        "6",
        "--lanes",
        "4",
        "--micro-batch",
        "4",
        "--learning-rate",
        "3e-3",
        "--local-steps",
        String.valueOf(localSteps),
        "--outer-learning-rate",
        "1",
        "--outer-momentum",
        "0",
        "--checkpoint-every",
        "25",
        "--warehouse",
        warehouse(),
        "--output",
        directory.resolve(output).toString());
  }

  private static void assertTrained(StandaloneCluster.Submission submission) {
    StandaloneCluster.Result result = submission.await(TIMEOUT);
    assertThat(result.exitCode()).as(result.output()).isZero();
    Matcher last = LAST_STEP.matcher(result.output());
    assertThat(last.find()).isTrue();
    assertThat(Integer.parseInt(last.group(1))).isGreaterThanOrEqualTo(FEWEST_STEPS);
    // A model that learned nothing has a loss of log 2.
    assertThat(Double.parseDouble(last.group(2))).isLessThan(0.3);
  }

  private static Path weights(String output) {
    return directory.resolve(output).resolve("model.safetensors");
  }

  private static String warehouse() {
    return directory.resolve("warehouse").toString();
  }
}
