package io.github.sparkrlhf.jobs;

import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.lit;
import static org.apache.spark.sql.functions.pmod;
import static org.apache.spark.sql.functions.xxhash64;
import static org.assertj.core.api.Assertions.assertThat;

import io.github.sparkrlhf.reward.AnnotatorOffsets;
import io.github.sparkrlhf.reward.ForestTrainer;
import io.github.sparkrlhf.reward.RatingEvaluation;
import io.github.sparkrlhf.reward.RegressionTrainer;
import io.github.sparkrlhf.reward.RewardModel;
import io.github.sparkrlhf.spark.SharedData;
import io.github.sparkrlhf.spark.SparkTestSession;
import io.github.sparkrlhf.tables.Tables;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Regression on real ratings: three reviewers rate the answers to questions about passages, and a
 * model that has not seen a passage orders the answers to its questions.
 */
class RatedAnswersIT {
  private static final int FOLDS = 5;

  @TempDir private Path folder;

  @Test
  void forestsOrderAnswersAboutPassagesThatTheyHaveNotSeen() {
    Path warehouse = folder.resolve("warehouse");
    CommandLineRun.step(
        warehouse,
        "pairs",
        "--input",
        SharedData.file("data/squality_reviews.parquet").toString(),
        "--layout",
        "rating",
        "--scale",
        "1,100",
        "--group",
        "passage_id",
        "--prompt",
        "concat('Story ', passage_id, ': ', prompt)");
    SparkSession session = SparkTestSession.withWarehouse(warehouse);
    Tables.open(session, "rlhf", "rlhf").registerViews();
    Dataset<Row> ratings =
        session
            .table("ratings")
            .withColumn("fold", pmod(xxhash64(col("given_group")), lit(FOLDS)))
            .withColumn("split", lit("held out"))
            .cache();
    System.out.println(AnnotatorOffsets.fit(ratings, 1));
    double boosted = spearman("gradient-boosted", ratings, 1, ForestTrainer.gradientBoosted());
    spearman("gradient-boosted, no offsets", ratings, 0, ForestTrainer.gradientBoosted());
    spearman("random-forest", ratings, 1, ForestTrainer.randomForest());
    System.out.println(
        describe(
            "longer is better",
            ratings,
            responses ->
                responses.withColumn(
                    "score",
                    org.apache.spark.sql.functions.length(col("response")).cast("double"))));
    assertThat(boosted).isBetween(-1.0, 1.0);
  }

  private static double spearman(
      String name, Dataset<Row> ratings, double ridge, RegressionTrainer trainer) {
    Dataset<Row> scores = null;
    for (int fold = 0; fold < FOLDS; fold++) {
      Dataset<Row> train = ratings.where(col("fold").notEqual(fold));
      AnnotatorOffsets offsets =
          ridge == 0 ? AnnotatorOffsets.none() : AnnotatorOffsets.fit(train, ridge);
      Dataset<Row> heldOut =
          trainer
              .fitRatings(train, offsets)
              .score(
                  ratings.where(col("fold").equalTo(fold)).select("prompt", "response").distinct());
      scores = scores == null ? heldOut : scores.unionByName(heldOut);
    }
    Dataset<Row> all = scores.cache();
    return describe(
        name, ratings, responses -> responses.join(all, new String[] {"prompt", "response"}));
  }

  private static double describe(
      String name, Dataset<Row> ratings, java.util.function.UnaryOperator<Dataset<Row>> scoring) {
    List<Row> metrics =
        RatingEvaluation.metrics(new Held(scoring), name, ratings, "given_group").collectAsList();
    for (Row metric : metrics) {
      System.out.printf(
          Locale.ROOT,
          "%s: %s %.3f, %.3f to %.3f, %d questions%n",
          name,
          metric.<String>getAs("metric"),
          metric.<Double>getAs("value"),
          metric.<Double>getAs("low"),
          metric.<Double>getAs("high"),
          metric.<Long>getAs("n"));
    }
    return metrics.get(0).<Double>getAs("value");
  }

  /** Each response's score by the model that has not seen its passage. */
  private record Held(java.util.function.UnaryOperator<Dataset<Row>> scoring)
      implements RewardModel {
    @Override
    public String kind() {
      return "held out";
    }

    @Override
    public Dataset<Row> score(Dataset<Row> rows) {
      return scoring.apply(rows);
    }

    @Override
    public void save(Path directory, Map<String, Object> provenance) {
      throw new UnsupportedOperationException();
    }
  }
}
