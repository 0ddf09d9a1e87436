package io.github.sparkrlhf.tables;

import static org.apache.spark.sql.functions.lit;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.sparkrlhf.spark.JobFailure;
import io.github.sparkrlhf.spark.SparkTestSession;
import java.nio.file.Path;
import java.util.Map;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class InputsTest {
  @TempDir private Path folder;
  private SparkSession spark;
  private Tables tables;

  @BeforeEach
  void open() {
    spark = SparkTestSession.withWarehouse(folder.resolve("warehouse"));
    tables = Tables.open(spark, "rlhf", "rlhf");
    tables.registerViews();
  }

  @Test
  void theFingerprintOfAPathChangesWithItsFiles() {
    String path = folder.resolve("log").toString();
    spark.range(3).write().parquet(path);
    String before = Inputs.fingerprint(spark, path);

    assertThat(Inputs.fingerprint(spark, path)).isEqualTo(before);
    spark.range(3).write().mode("append").parquet(path);
    assertThat(Inputs.fingerprint(spark, path)).isNotEqualTo(before);
  }

  @Test
  void foldersOfDaysAreColumnsOfNewFilesToo() {
    String path = folder.resolve("log").toString();
    days(1).write().partitionBy("day").parquet(path);
    String before = Inputs.fingerprint(spark, path);
    assertThat(Inputs.since(spark, path, before)).isEmpty();

    days(2).write().mode("append").partitionBy("day").parquet(path);

    assertThat(Inputs.since(spark, path, before).orElseThrow().collectAsList())
        .extracting(row -> row.<Integer>getAs("day"))
        .containsExactly(2);
  }

  private Dataset<Row> days(int day) {
    return spark.range(1).withColumn("day", lit(day)).coalesce(1);
  }

  @Test
  void theFingerprintOfOneOfOurTablesIsItsCompleteRuns() {
    Run run = tables.begin("ppo", "r1", "{}");
    run.write(
        Table.PPO_METRICS,
        spark.sql("SELECT 1 AS iteration, 'loss' AS metric, CAST(0.5 AS DOUBLE) AS value"));
    assertThat(Inputs.fingerprint(spark, "ppo_metrics")).isEqualTo("ppo_metrics:");
    run.complete(Map.of());
    assertThat(Inputs.fingerprint(spark, "ppo_metrics")).isEqualTo("ppo_metrics:r1");
    assertThat(Inputs.read(spark, tables, "ppo_metrics").count()).isEqualTo(1);
  }

  @Test
  void theFingerprintOfAnotherIcebergTableIsItsSnapshot() {
    spark.sql("CREATE TABLE numbers USING iceberg AS SELECT id FROM range(2)");
    String before = Inputs.fingerprint(spark, "numbers");
    assertThat(before).matches("numbers@\\d+");
    spark.sql("INSERT INTO numbers VALUES (7)");
    assertThat(Inputs.fingerprint(spark, "numbers")).isNotEqualTo(before);
    assertThat(Inputs.read(spark, tables, "numbers").count()).isEqualTo(3);
  }

  @Test
  void anExpressionThatSpawnsRowsIsRefused() {
    assertThatThrownBy(
            () -> Inputs.expression(spark.range(1).toDF("n"), "--id", "explode(array(n, n))"))
        .isInstanceOf(JobFailure.class)
        .hasMessage(
            "Cannot evaluate --id 'explode(array(n, n))': it must give one value for each row;"
                + " the columns are n");
  }

  @Test
  void aNameIsWhatAPersonCallsTheInput() {
    assertThat(Inputs.shortName("/data/votes.parquet")).isEqualTo("votes");
    assertThat(Inputs.shortName("/data/votes/")).isEqualTo("votes");
    assertThat(Inputs.shortName("lake.feedback.votes")).isEqualTo("lake.feedback.votes");
  }
}
