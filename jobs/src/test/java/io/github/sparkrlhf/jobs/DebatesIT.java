package io.github.sparkrlhf.jobs;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.sparkrlhf.spark.SharedData;
import io.github.sparkrlhf.spark.SparkTestSession;
import io.github.sparkrlhf.tables.Tables;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * The first chain of docs/tutorial.md: human votes on arguments in debates, reward models, scores.
 */
class DebatesIT {
  @TempDir private Path folder;

  @Test
  void rewardModelsLearnFromVotesAndAreMeasuredOnDebatesTheyHaveNotSeen() throws IOException {
    DocCommands.runTutorial(
        "Votes to a reward model",
        folder,
        "ukp_votes.parquet",
        SharedData.file("data/ukp_votes.parquet"));

    SparkSession spark = SparkTestSession.withWarehouse(folder.resolve("warehouse"));
    Tables.open(spark, "rlhf", "rlhf").registerViews();
    List<Row> heldOut =
        spark
            .sql(
                "SELECT kind, metric, value, low, high, n FROM reward_metrics WHERE split = 'test' AND slice = 'all' AND metric IN ('accuracy', 'accuracy_always_longer') ORDER BY kind, metric")
            .collectAsList();
    heldOut.forEach(System.out::println);
    assertThat(heldOut)
        .hasSize(4)
        .allSatisfy(row -> assertThat(row.getLong(5)).isGreaterThan(1000));
    assertThat(heldOut.get(0).getDouble(2))
        .as("Bradley–Terry beats the rule that prefers the longer argument")
        .isGreaterThan(heldOut.get(1).getDouble(2));
    assertThat(heldOut.get(2).getDouble(3))
        .as("the transformer is better than a coin")
        .isGreaterThan(0.5);
    long pairs = spark.table("pairs").count();
    assertThat(
            spark.sql("SELECT count(*) AS n FROM scores GROUP BY model").collectAsList().stream()
                .map(row -> row.getLong(0)))
        .containsExactly(pairs, pairs);
  }
}
