package io.github.sparkrlhf.jobs;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.fasterxml.jackson.databind.JsonNode;
import io.github.sparkrlhf.feedback.SimulatedLog;
import io.github.sparkrlhf.spark.SparkTestSession;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.functions;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * What the DAG submits and what docs/deploy.md says of standalone clusters, run by spark-submit on
 * a standalone cluster of separate processes, with the files in conf/ and little data.
 */
class AirflowDagIT {
  private static final Duration TIMEOUT = Duration.ofMinutes(8);
  private static final Path CONF = Path.of("..", "conf");
  private static final String GOOD = "2026-01-04";
  private static final String BAD = "2026-01-11";

  /** A block of the page that is a submission; it may go over several lines. */
  private static final Pattern SUBMISSION =
      Pattern.compile("(?m)^    spark-submit .*(?:\\n     .*)*$");

  @TempDir static Path work;
  private static StandaloneCluster cluster;
  private static Path commands;

  @BeforeAll
  static void start() throws IOException {
    Path jar = Path.of("target", "spark-rlhf.jar").toAbsolutePath();
    Files.createSymbolicLink(work.resolve("spark-rlhf.jar"), jar);
    Files.createSymbolicLink(
        Files.createDirectories(work.resolve("jobs/target")).resolve("spark-rlhf.jar"), jar);
    copyConf();
    append(
        "spark-defaults.conf",
        """
        spark.executor.cores 2
        spark.executor.memory 1g
        spark.executor.extraJavaOptions %s
        spark.sql.shuffle.partitions 1
        spark.sql.codegen.wholeStage false
        spark.sql.codegen.factoryMode NO_CODEGEN
        spark.log.level WARN
        spark.ui.enabled false
        """
            .formatted(String.join(" ", StandaloneCluster.QUICK)));
    append("airflow/pairs.args", "--id vote_id");
    append("airflow/tokenizer.args", "--vocabulary-size 600");
    append(
        "airflow/sft.args",
        "--epochs 1 --hidden-size 16 --layers 1 --heads 2 --max-length 160 --micro-batch 64");
    append("airflow/reward.args", "--epochs 1 --micro-batch 64");
    append(
        "airflow/ppo.args",
        "--iterations 1 --prompts-per-iteration 16 --epochs 1 --minibatches 1 --max-new-tokens 8");
    append("airflow/rollout.args", "--samples-per-prompt 1 --max-new-tokens 8");
    votes();
    cluster = StandaloneCluster.start(work.resolve("cluster"), 1, 2, "2g");
    commands = cluster.commands();
  }

  @AfterAll
  static void stop() {
    if (cluster != null) {
      cluster.close();
    }
  }

  @Test
  void aDateGoesFromTheLogToAReportAndOneOfABadLogIsSkipped() throws IOException {
    assumeTrue(AirflowDag.pythonIsThere(), "python3 is missing");
    try (AirflowAlerts alerts = new AirflowAlerts()) {
      AirflowDag.Result good = run(GOOD, alerts);
      assertThat(good.result())
          .as(good.log())
          .hasSize(11)
          .allSatisfy(task -> assertThat(task.toString()).contains("\"success\"", ":1}"));
      assertThat(alerts.bodies()).isEmpty();

      AirflowDag.Result bad = run(BAD, alerts);
      JsonNode pairs = bad.result().get("pairs");
      assertThat(pairs.toString()).as(bad.log()).contains("\"skipped\"", ":1}");
      assertThat(bad.result()).allSatisfy(task -> assertThat(task.toString()).contains("skipped"));
      assertThat(alerts.bodies())
          .singleElement()
          .asString()
          .contains("rlhf.pairs of " + BAD + ": exit code 3");
    }
    CommandLineRun runs =
        CommandLineRun.of(
            "sql",
            "--format",
            "csv",
            "SELECT run_id FROM runs ORDER BY run_id",
            "--warehouse",
            work.resolve("warehouse").toString());
    assertThat(runs.out().lines())
        .containsExactly(
            "run_id",
            "after-20260104",
            "before-20260104",
            "evaluate-20260104",
            "pairs-20260104",
            "ppo-20260104",
            "report-20260104",
            "reward-1-20260104",
            "reward-2-20260104",
            "sft-20260104",
            "tokenizer-20260104");
    assertThat(work.resolve("models/20260104/ppo/policy/model.safetensors")).exists();
    assertThat(work.resolve("models/20260104/report.html")).content().contains("evaluate-20260104");
  }

  @Test
  void thePageTellsWhatASubmissionIs() throws IOException, InterruptedException {
    String page = Files.readString(Path.of("..", "docs", "deploy.md"));
    int standalone = page.indexOf("\n## Standalone\n");
    String section = page.substring(standalone, page.indexOf("\n## ", standalone + 1));
    List<String> outputs = new ArrayList<>();
    for (String block : SUBMISSION.matcher(section).results().map(m -> m.group()).toList()) {
      String command =
          block
              .replace("spark://host:7077", cluster.url())
              .replace("hdfs://namenode/rlhf/", work.resolve("page") + "/");
      outputs.add(shell(command));
    }
    assertThat(outputs).hasSize(2);
    assertThat(outputs.get(0)).contains("comparisons of").containsPattern("Run \\S+ is complete");
    assertThat(outputs.get(1)).containsPattern("pairs-[0-9a-f]{12} +pairs +complete");
  }

  private static AirflowDag.Result run(String date, AirflowAlerts alerts) throws IOException {
    Map<String, String> environment =
        Map.of(
            "PATH",
            path(),
            "AIRFLOW_CONN_SPARK_DEFAULT",
            "{\"conn_type\":\"spark\",\"host\":\"" + cluster.url() + "\"}",
            "AIRFLOW_VAR_RLHF_ALERT_URL",
            alerts.url());
    AirflowDag.Result result =
        new AirflowDag(AirflowDag.FILE, work, environment)
            .run(
                TIMEOUT,
                date,
                "home=" + work,
                "log=" + work.resolve("log"),
                "warehouse=" + work.resolve("warehouse"),
                "models=" + work.resolve("models"));
    assertThat(result.exitCode()).as(result.log()).isZero();
    return result;
  }

  /** Runs a command as a person does in the folder of the project; it must succeed. */
  private static String shell(String command) throws IOException, InterruptedException {
    Path out = Files.createTempFile(work, "shell", ".log");
    ProcessBuilder builder =
        new ProcessBuilder("sh", "-ec", command)
            .directory(work.toFile())
            .redirectErrorStream(true)
            .redirectOutput(out.toFile());
    builder.environment().put("PATH", path());
    Process process = builder.start();
    try {
      assertThat(process.waitFor(TIMEOUT.toSeconds(), TimeUnit.SECONDS)).isTrue();
    } finally {
      process.descendants().forEach(ProcessHandle::destroyForcibly);
      process.destroyForcibly();
    }
    String output = Files.readString(out, StandardCharsets.UTF_8);
    assertThat(process.exitValue()).as(output).isZero();
    return output;
  }

  private static String path() {
    return commands + ":" + System.getenv("PATH");
  }

  private static void copyConf() throws IOException {
    try (Stream<Path> files = Files.walk(CONF)) {
      for (Path file : files.toList()) {
        Files.copy(file, work.resolve("conf").resolve(CONF.relativize(file).toString()));
      }
    }
  }

  /** What stands last in a file counts. */
  private static void append(String file, String lines) throws IOException {
    Files.writeString(
        work.resolve("conf").resolve(file), "\n" + lines + "\n", StandardOpenOption.APPEND);
  }

  /** The log of two dates, of which the second says nothing that can be used, and of the page. */
  private static void votes() {
    Dataset<Row> votes =
        new SimulatedLog(SparkTestSession.get(), 1, SimulatedLog.MINIMUM_ROWS)
            .events()
            .withColumnRenamed("event_id", "vote_id")
            .withColumnRenamed("annotator", "annotator_id")
            .withColumn("topic", functions.col("prompt"))
            .coalesce(1);
    votes.write().parquet(work.resolve("log").resolve(GOOD).toString());
    votes
        .withColumn("choice", functions.lit("neither"))
        .write()
        .parquet(work.resolve("log").resolve(BAD).toString());
    votes.write().parquet(work.resolve("votes.parquet").toString());
  }
}
