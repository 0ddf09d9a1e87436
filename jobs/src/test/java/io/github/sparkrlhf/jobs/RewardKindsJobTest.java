package io.github.sparkrlhf.jobs;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.sparkrlhf.feedback.SimulatedLog;
import io.github.sparkrlhf.reward.RewardModels;
import io.github.sparkrlhf.spark.SparkTestSession;
import io.github.sparkrlhf.tables.Tables;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.apache.spark.ml.Pipeline;
import org.apache.spark.ml.PipelineStage;
import org.apache.spark.ml.feature.HashingTF;
import org.apache.spark.ml.feature.Tokenizer;
import org.apache.spark.ml.regression.LinearRegression;
import org.apache.spark.sql.Encoders;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The kinds of reward model that need no tokens, by way of the jobs. */
class RewardKindsJobTest {
  @TempDir private static Path folder;

  @BeforeAll
  static void pairs() {
    SimulatedLog log = new SimulatedLog(SparkTestSession.get(), 3, 1_000);
    log.events().coalesce(1).write().parquet(path("log"));
    step("pairs", "--input", path("log"), "--id", "event_id", "--annotator", "annotator");
  }

  @Test
  void eachKindIsFittedMeasuredAndRead() throws Exception {
    SparkSession spark = SparkTestSession.get();
    new Pipeline()
        .setStages(
            new PipelineStage[] {
              new Tokenizer().setInputCol("response").setOutputCol("words"),
              new HashingTF().setNumFeatures(32).setInputCol("words").setOutputCol("features"),
              new LinearRegression().setPredictionCol("score")
            })
        .fit(spark.read().parquet(path("log")).selectExpr("response_a AS response", "1D AS label"))
        .save(path("spark-ml"));

    reward("random-forest", "--trees", "3");
    reward("gradient-boosted", "--trees", "2");
    reward("mlp", "--epochs", "2", "--hidden", "4,3");
    reward("pipeline", "--pipeline", path("spark-ml"));
    String members = String.join(",", path("random-forest"), path("mlp"), path("pipeline"));
    reward("ensemble", "--members", members, "--rule", "minimum");

    step("score", "--input", path("log"), "--response", "response_a", "--model", path("ensemble"));
    assertThat(RewardModels.load(folder.resolve("ensemble")).kind()).isEqualTo("ensemble");
    SparkSession tables = session(folder.resolve("warehouse"));
    List<String> measured =
        tables
            .sql("SELECT DISTINCT kind FROM reward_metrics WHERE metric = 'accuracy' ORDER BY kind")
            .as(Encoders.STRING())
            .collectAsList();
    assertThat(measured)
        .containsExactly("ensemble", "gradient-boosted", "mlp", "pipeline", "random-forest");
    assertThat(tables.sql("SELECT * FROM scores WHERE isnan(score)").count()).isZero();
    assertThat(
            tables
                .sql("SELECT DISTINCT metric FROM reward_metrics WHERE metric LIKE 'tie%'")
                .count())
        .as("the simulated log has ties")
        .isEqualTo(5);
  }

  @Test
  void ratingsAreLearnedAndMeasuredByRank() {
    SparkTestSession.get()
        .sql(
            "SELECT concat('q', int(id / 4)) AS prompt, concat(repeat('so ', int(id * 7 % 11)), id)"
                + " AS response, double(10 * (id * 7 % 11)) AS rating, concat('a', id % 2) AS"
                + " annotator_id FROM range(200)")
        .write()
        .parquet(path("ratings"));
    Path warehouse = folder.resolve("rated");
    CommandLineRun.step(
        warehouse,
        "pairs",
        "--input",
        path("ratings"),
        "--layout",
        "rating",
        "--scale",
        "0,100",
        "--pairing",
        "none");
    CommandLineRun.step(
        warehouse,
        "reward",
        "--kind",
        "random-forest",
        "--ratings",
        "--trees",
        "5",
        "--output",
        path("rated-forest"));

    assertThat(
            session(warehouse)
                .sql(
                    "SELECT value FROM reward_metrics WHERE metric = 'spearman' AND split = 'train'")
                .first()
                .getDouble(0))
        .isGreaterThan(0.7);
  }

  private static void reward(String kind, String... options) {
    List<String> command = new ArrayList<>(List.of("reward", "--kind", kind));
    command.addAll(List.of(options));
    command.addAll(List.of("--output", path(kind)));
    step(command.toArray(String[]::new));
  }

  private static SparkSession session(Path warehouse) {
    SparkSession session = SparkTestSession.withWarehouse(warehouse);
    Tables.open(session, "rlhf", "rlhf").registerViews();
    return session;
  }

  private static void step(String... command) {
    CommandLineRun.step(folder.resolve("warehouse"), command);
  }

  private static String path(String name) {
    return folder.resolve(name).toString();
  }
}
