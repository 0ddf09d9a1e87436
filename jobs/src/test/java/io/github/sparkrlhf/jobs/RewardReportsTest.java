package io.github.sparkrlhf.jobs;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.sparkrlhf.feedback.SimulatedLog;
import io.github.sparkrlhf.reward.Calibration;
import io.github.sparkrlhf.spark.SparkTestSession;
import io.github.sparkrlhf.tables.Tables;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import javax.imageio.ImageIO;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.io.TempDir;

/** What {@code reward} and {@code explain} say about a model. */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
class RewardReportsTest {
  private Path folder;
  private SparkSession spark;

  @BeforeAll
  void fits(@TempDir Path shared) {
    folder = shared;
    new SimulatedLog(SparkTestSession.get(), 3, 1_000)
        .events()
        .coalesce(1)
        .write()
        .parquet(path("log"));
    run("pairs", "--input", path("log"), "--id", "event_id", "--annotator", "annotator");
    run(reward());
    run(
        "explain",
        "--input",
        "pairs",
        "--response",
        "chosen",
        "--id",
        "pair_id",
        "--where",
        "split = 'test'",
        "--rows",
        "3",
        "--weights",
        "20",
        "--model",
        path("model"));
    spark = SparkTestSession.withWarehouse(folder.resolve("warehouse"));
    Tables.open(spark, "rlhf", "rlhf").registerViews();
  }

  private String[] reward() {
    return new String[] {
      "reward", "--output", path("model"), "--disjoint-halves", "--plots", path("plots")
    };
  }

  @Test
  void measuresSlicesCalibrationAnnotatorsAndHalves() {
    List<String> metrics =
        spark.sql("SELECT DISTINCT metric FROM reward_metrics").collectAsList().stream()
            .map(row -> row.getString(0))
            .toList();

    assertThat(metrics)
        .contains(
            "accuracy",
            "accuracy_first_shown",
            "lift_over_longer",
            "share_of_ceiling",
            "annotator_agreement",
            "ece_isotonic",
            "half_agreement");
    assertThat(
            spark
                .sql("SELECT count(DISTINCT slice) FROM reward_metrics WHERE split = 'test'")
                .first()
                .getLong(0))
        .isGreaterThanOrEqualTo(5);
    assertThat(Calibration.load(folder.resolve("model"))).isPresent();
    Row bins =
        spark
            .sql(
                "SELECT sum(n) AS pairs, (SELECT n FROM reward_metrics WHERE split = 'test' AND slice = 'all' AND metric = 'brier') AS n FROM reliability WHERE split = 'test' AND method = 'none'")
            .first();
    assertThat(bins.getLong(0)).isEqualTo(bins.getLong(1));
  }

  @Test
  void drawsPicturesAndDrawsThemAgainWhenTheyAreGone() throws IOException {
    for (Path picture : RewardPlots.files(folder.resolve("plots"))) {
      assertThat(ImageIO.read(picture.toFile()).getWidth()).isGreaterThan(300);
      assertThat(Files.size(picture)).isBetween(5_000L, 200_000L);
    }
    Path lost = RewardPlots.files(folder.resolve("plots")).get(0);
    Files.delete(lost);

    run(reward());

    assertThat(lost).exists();
  }

  @Test
  void explainsWeightsAndWords() {
    List<Row> weights =
        spark.sql("SELECT * FROM explanations WHERE explains = 'weight'").collectAsList();
    assertThat(weights).hasSize(20);
    assertThat(weights)
        .filteredOn(row -> row.<String>getAs("item").contains(":bucket_"))
        .isNotEmpty()
        .anySatisfy(row -> assertThat(row.getList(row.fieldIndex("terms"))).isNotEmpty());
    Row explained =
        spark
            .sql(
                "SELECT count(DISTINCT row_id), count(*), sum(abs(value)) FROM explanations WHERE explains = 'word'")
            .first();
    assertThat(explained.getLong(0)).isEqualTo(3);
    assertThat(explained.getLong(1)).isGreaterThan(3);
    assertThat(explained.getDouble(2)).isPositive();
  }

  private void run(String... command) {
    CommandLineRun.step(folder.resolve("warehouse"), command);
  }

  private String path(String name) {
    return folder.resolve(name).toString();
  }
}
