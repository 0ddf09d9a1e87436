package io.github.sparkrlhf.jobs;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.sparkrlhf.lm.LanguageModel;
import io.github.sparkrlhf.lm.TestTokenizers;
import io.github.sparkrlhf.lm.TransformerConfig;
import io.github.sparkrlhf.reward.TransformerRewardModel;
import io.github.sparkrlhf.spark.SparkTestSession;
import io.github.sparkrlhf.tables.Tables;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.regex.Pattern;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The driver of {@code score} is killed, and the same command is started again. */
class ScoreResumeIT {
  private static final Path JAR = Path.of("target", "spark-rlhf.jar").toAbsolutePath();
  private static final Pattern STEP = Pattern.compile("score (\\d+)/12: ");
  private static final Duration TIMEOUT = Duration.ofMinutes(3);
  private static final int PARTS = 12;

  @TempDir private Path folder;

  @Test
  void aKilledDriverLosesOnePartAndTheScoresAreThoseOfAnUndisturbedRun() throws Exception {
    writeInput();
    Process first = start("killed");
    Instant deadline = Instant.now().plus(TIMEOUT);
    while (steps("killed") < 3) {
      assertThat(first.isAlive() && Instant.now().isBefore(deadline)).as(log("killed")).isTrue();
      Thread.sleep(20);
    }
    first.destroyForcibly().waitFor();
    long before = steps("killed");
    assertThat(before).isLessThan(PARTS);

    Process second = start("resumed");
    assertThat(second.waitFor(TIMEOUT.toSeconds(), TimeUnit.SECONDS)).isTrue();
    assertThat(second.exitValue()).as(log("resumed")).isZero();
    // One part may have been written and not been reported yet; none is scored twice that was.
    assertThat(before + steps("resumed")).isBetween(PARTS - 1L, (long) PARTS);

    CommandLineRun whole = CommandLineRun.of(command("undisturbed"));
    assertThat(whole.exitCode()).as(whole.err()).isZero();
    List<Row> scores = scores("warehouse");
    assertThat(scores).hasSize(3000).isEqualTo(scores("undisturbed"));
  }

  private void writeInput() {
    TransformerConfig config =
        TransformerConfig.llama(259, 32, 64, 2, 2, 64)
            .withHead(TransformerConfig.Head.SEQUENCE_CLASSIFICATION);
    LanguageModel model =
        new LanguageModel(config, config.layout().initialWeights(5), TestTokenizers.bytes());
    new TransformerRewardModel(model).save(folder.resolve("model"), Map.of());
    SparkTestSession.get()
        .sql(
            "SELECT 'Say ' || id AS prompt, repeat('so ', cast(id % 13 AS INT)) AS response FROM range(3000)")
        .write()
        .parquet(folder.resolve("input").toString());
  }

  private Process start(String name) throws IOException {
    ProcessBuilder builder = new ProcessBuilder();
    builder.command().addAll(List.of(java(), "-Xmx1g", "-jar", JAR.toString()));
    builder.command().addAll(List.of(command("warehouse")));
    builder.command().addAll(List.of("--master", "local[2]"));
    return builder
        .directory(folder.toFile())
        .redirectErrorStream(true)
        .redirectOutput(folder.resolve(name + ".log").toFile())
        .start();
  }

  private static String java() {
    return Path.of(System.getProperty("java.home"), "bin", "java").toString();
  }

  private String[] command(String warehouse) {
    return new String[] {
      "score",
      "--input",
      folder.resolve("input").toString(),
      "--model",
      folder.resolve("model").toString(),
      "--part",
      Integer.toString(3000 / PARTS),
      "--warehouse",
      folder.resolve(warehouse).toString()
    };
  }

  private long steps(String name) throws IOException {
    return STEP.matcher(log(name)).results().count();
  }

  private String log(String name) throws IOException {
    return Files.readString(folder.resolve(name + ".log"));
  }

  private List<Row> scores(String warehouse) {
    SparkSession session = SparkTestSession.withWarehouse(folder.resolve(warehouse));
    Tables.open(session, "rlhf", "rlhf").registerViews();
    return session
        .sql("SELECT row_id, iteration, score FROM scores ORDER BY row_id")
        .collectAsList();
  }
}
