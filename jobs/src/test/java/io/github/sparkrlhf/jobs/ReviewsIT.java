package io.github.sparkrlhf.jobs;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.sparkrlhf.feedback.WilsonInterval;
import io.github.sparkrlhf.spark.SharedData;
import io.github.sparkrlhf.spark.SparkTestSession;
import io.github.sparkrlhf.tables.Tables;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Locale;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * The second chain of docs/tutorial.md, on real text: a policy learns to write product reviews, a
 * reward model learns from one half of them that pros beat cons, PPO follows it, and a classifier
 * that has only seen the other half judges what the policy writes.
 */
class ReviewsIT {
  private static final int ITERATIONS = 20;

  @TempDir private Path folder;

  @Test
  void ppoTurnsHalfPositiveReviewsIntoMostlyPositiveOnes() throws IOException {
    DocCommands.runTutorial(
        "A policy that writes pros",
        folder,
        "pros_cons.parquet",
        SharedData.file("data/pros_cons.parquet"));

    SparkSession spark = SparkTestSession.withWarehouse(folder.resolve("warehouse"));
    Tables.open(spark, "rlhf", "rlhf").registerViews();
    ReviewJudge judge = new ReviewJudge(spark);
    double before = positiveShare(spark, judge, 0);
    double after = positiveShare(spark, judge, ITERATIONS);
    printSamples(spark);

    assertThat(before).isBetween(0.35, 0.65);
    assertThat(after).isGreaterThanOrEqualTo(0.8);
  }

  private static double positiveShare(SparkSession spark, ReviewJudge judge, int iteration) {
    Dataset<Row> responses =
        spark.table("rollouts").filter("iteration = " + iteration).select("response");
    Row row = judge.judged(responses).selectExpr("sum(positive)", "count(*)").first();
    double share = row.getDouble(0) / row.getLong(1);
    WilsonInterval interval = WilsonInterval.of(row.getDouble(0), row.getLong(1));
    System.out.printf(
        Locale.ROOT,
        "Iteration %d: %.3f positive (%.3f to %.3f, %d texts)%n",
        iteration,
        share,
        interval.low(),
        interval.high(),
        row.getLong(1));
    return share;
  }

  private static void printSamples(SparkSession spark) {
    for (int iteration : new int[] {0, ITERATIONS}) {
      spark
          .sql(
              "SELECT response FROM rollouts WHERE iteration = %d ORDER BY rollout_id LIMIT 8"
                  .formatted(iteration))
          .collectAsList()
          .forEach(row -> System.out.println(iteration + ": " + row.getString(0)));
    }
    spark
        .sql(
            "SELECT iteration, round(value, 2) AS kl FROM ppo_metrics WHERE metric = 'objective/kl' AND iteration %% 10 = 0 ORDER BY iteration"
                .formatted())
        .collectAsList()
        .forEach(row -> System.out.println("KL at iteration " + row.getInt(0) + ": " + row.get(1)));
  }
}
