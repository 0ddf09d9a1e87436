package io.github.sparkrlhf.jobs;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.sparkrlhf.lm.LanguageModel;
import io.github.sparkrlhf.lm.TestTokenizers;
import io.github.sparkrlhf.lm.TransformerConfig;
import io.github.sparkrlhf.reward.TransformerRewardModel;
import io.github.sparkrlhf.spark.SparkTestSession;
import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.apache.spark.launcher.JavaModuleOptions;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * One run of {@code ppo} is killed again and again, each time at another point, and started again
 * by the same command: on one machine, on a cluster with two executors and with four, of which one
 * dies. What it leaves in the end is what an undisturbed run on one executor leaves, bit by bit.
 */
class PpoKillIT {
  private static final Path JAR = Path.of("target", "spark-rlhf.jar").toAbsolutePath();
  private static final Path TEST_CLASSES = Path.of("target", "test-classes").toAbsolutePath();
  private static final Duration TIMEOUT = Duration.ofMinutes(4);
  private static final int ITERATIONS = 4;

  @TempDir private Path folder;
  private int kills;

  @Test
  void aRunThatIsKilledAnywhereLeavesWhatAnUndisturbedRunLeaves() throws Exception {
    writeInputs();
    try (StandaloneCluster cluster =
        StandaloneCluster.start(folder.resolve("cluster"), 4, 1, "2g")) {
      StandaloneCluster.Submission undisturbed = submit(cluster, "undisturbed", 1);
      StandaloneCluster.Result result = undisturbed.await(TIMEOUT);
      assertThat(result.exitCode()).as(result.output()).isZero();

      for (String point : pointsOfTheFirstIteration()) {
        killAt(point);
      }
      // Two executors; the driver dies while the third iteration is at work.
      StandaloneCluster.Submission two = submit(cluster, "killed", 2);
      two.awaitOutput(step(2), TIMEOUT);
      two.kill();
      // Four, of which one dies in the fourth iteration, and the driver after it.
      StandaloneCluster.Submission four = submit(cluster, "killed", 4);
      four.awaitOutput(step(3), TIMEOUT);
      cluster.kill(cluster.awaitExecutors(4, TIMEOUT).get(0));
      assertThat(four.isRunning()).isTrue();
      four.awaitOutput(step(4), TIMEOUT);
      four.kill();
    }
    for (String point : pointsOfTheEnd()) {
      killAt(point);
    }
    Process last = start("last", List.of());
    assertThat(last.waitFor(TIMEOUT.toSeconds(), TimeUnit.SECONDS)).isTrue();
    assertThat(last.exitValue()).as(log("last")).isZero();
    assertSame();
  }

  private List<String> pointsOfTheFirstIteration() {
    return List.of(
        KillSwitch.atStartOf("sample "),
        KillSwitch.atStartOf("ppo: log-probabilities and values"),
        KillSwitch.atStartOf("ppo: score responses"),
        KillSwitch.atStartOf("epoch 0, minibatch 1"),
        KillSwitch.atEndOf("epoch 1, minibatch 0"),
        // The rows of the iteration are in the tables, the checkpoint is begun.
        KillSwitch.whenAppears(checkpoints(), "\\.step-.*"),
        // A commit is begun; one is done and the other table's is not; the other one is begun.
        KillSwitch.whenAppears(metadata("rollouts"), "snap-.*"),
        KillSwitch.whenAppears(metadata("rollouts"), "v\\d+\\.metadata\\.json"),
        KillSwitch.whenAppears(metadata("ppo_metrics"), "snap-.*"),
        KillSwitch.whenAppears(checkpoints(), "step-00000001"));
  }

  private List<String> pointsOfTheEnd() {
    return List.of(
        // The models are being written; they are there, and the run is not complete; nearly.
        KillSwitch.whenAppears(folder.resolve("killed"), "\\.models\\..*"),
        KillSwitch.whenAppears(folder.resolve("killed"), "models"),
        KillSwitch.whenAppears(metadata("runs"), "snap-.*"));
  }

  private Path checkpoints() {
    return folder.resolve("killed/models.checkpoints");
  }

  private Path metadata(String table) {
    return folder.resolve("killed/warehouse/rlhf").resolve(table).resolve("metadata");
  }

  private void killAt(String point) throws Exception {
    String log = "killed-" + ++kills;
    Process driver =
        start(
            log,
            List.of(
                "-Dspark.extraListeners=" + KillSwitch.class.getName(),
                "-D" + KillSwitch.POINT + "=" + point));
    assertThat(driver.waitFor(TIMEOUT.toSeconds(), TimeUnit.SECONDS)).as(point).isTrue();
    assertThat(driver.exitValue()).as(point + ": " + log(log)).isEqualTo(KillSwitch.EXIT_CODE);
    assertThat(log(log)).contains("killed at ");
  }

  private void assertSame() throws IOException {
    for (String network : List.of("policy", "critic")) {
      String weights = "models/" + network + "/model.safetensors";
      assertThat(folder.resolve("killed").resolve(weights))
          .hasSameBinaryContentAs(folder.resolve("undisturbed").resolve(weights));
    }
    try (Stream<Path> left = Files.list(folder.resolve("killed"))) {
      assertThat(left.map(file -> file.getFileName().toString()))
          .containsExactlyInAnyOrder("models", "models.checkpoints", "warehouse");
    }
    List<Row> rollouts =
        rows("undisturbed", "SELECT * FROM rollouts ORDER BY iteration, rollout_id");
    assertThat(rollouts).hasSize((ITERATIONS + 1) * 16);
    assertThat(rows("killed", "SELECT * FROM rollouts ORDER BY iteration, rollout_id"))
        .isEqualTo(rollouts);
    String metrics =
        "SELECT * FROM ppo_metrics WHERE metric <> 'eps' AND metric NOT LIKE 'seconds/%'"
            + " AND metric NOT LIKE 'share/%' ORDER BY iteration, metric";
    assertThat(rows("killed", metrics)).isEqualTo(rows("undisturbed", metrics)).isNotEmpty();
    String runs = "SELECT run_id, job, status, summary FROM runs";
    assertThat(rows("killed", runs)).isEqualTo(rows("undisturbed", runs)).hasSize(1);
  }

  /** From the tables themselves, not from the views of complete runs: nothing may be left over. */
  private List<Row> rows(String name, String query) {
    SparkSession session =
        SparkTestSession.withWarehouse(folder.resolve(name).resolve("warehouse"));
    return session.sql(query.replaceFirst("FROM ", "FROM rlhf.rlhf.")).collectAsList();
  }

  private void writeInputs() {
    TransformerConfig config = TransformerConfig.llama(259, 48, 64, 2, 2, 64);
    new LanguageModel(config, config.layout().initialWeights(5), TestTokenizers.bytes())
        .save(folder.resolve("policy"), Map.of());
    TransformerConfig scalar = config.withHead(TransformerConfig.Head.SEQUENCE_CLASSIFICATION);
    new TransformerRewardModel(
            new LanguageModel(scalar, scalar.layout().initialWeights(6), TestTokenizers.bytes()))
        .save(folder.resolve("reward"), Map.of());
    SparkTestSession.get()
        .sql("SELECT 'p' || id AS prompt_id, 'Say ' || id AS prompt FROM range(12)")
        .coalesce(1)
        .write()
        .parquet(folder.resolve("prompts").toString());
  }

  private String[] command(String name) {
    return new String[] {
      "ppo",
      "--prompts",
      folder.resolve("prompts").toString(),
      "--prompt-id",
      "prompt_id",
      "--policy",
      folder.resolve("policy").toString(),
      "--reward",
      folder.resolve("reward").toString(),
      "--iterations",
      Integer.toString(ITERATIONS),
      "--prompts-per-iteration",
      "8",
      "--samples-per-prompt",
      "2",
      "--max-new-tokens",
      "8",
      "--epochs",
      "2",
      "--minibatches",
      "2",
      "--learning-rate",
      "3e-3",
      "--kl-target",
      "2",
      "--checkpoint-every",
      "1",
      "--run-id",
      "ppo",
      "--output",
      folder.resolve(name).resolve("models").toString(),
      "--warehouse",
      folder.resolve(name).resolve("warehouse").toString()
    };
  }

  private static Pattern step(int iterations) {
    return Pattern.compile("ppo " + iterations + "/" + ITERATIONS);
  }

  private StandaloneCluster.Submission submit(StandaloneCluster cluster, String name, int executors)
      throws IOException {
    List<String> settings =
        List.of(
            "spark.cores.max=" + executors,
            "spark.default.parallelism=" + executors,
            "spark.executor.memory=1g",
            "spark.executor.cores=1",
            "spark.ui.enabled=false",
            "spark.scheduler.minRegisteredResourcesRatio=1",
            "spark.sql.shuffle.partitions=2");
    return cluster.submitInBackground(settings, Main.class.getName(), JAR, command(name));
  }

  /** A driver on this machine, in the process that a test may kill. */
  private Process start(String log, List<String> options) throws IOException {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.addAll(List.of("-Xmx1g", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"));
    command.addAll(List.of(JavaModuleOptions.defaultModuleOptions().split(" ")));
    command.addAll(options);
    String jars = StandaloneCluster.SPARK_HOME.resolve("jars") + File.separator + "*";
    command.addAll(
        List.of(
            "-cp",
            String.join(File.pathSeparator, JAR.toString(), TEST_CLASSES.toString(), jars),
            Main.class.getName()));
    command.addAll(Arrays.asList(command("killed")));
    command.addAll(List.of("--master", "local[2]"));
    Path file = folder.resolve(log + ".log");
    return new ProcessBuilder(command)
        .directory(folder.toFile())
        .redirectErrorStream(true)
        .redirectOutput(file.toFile())
        .start();
  }

  private String log(String name) throws IOException {
    return Files.readString(folder.resolve(name + ".log"));
  }
}
