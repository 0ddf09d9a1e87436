package io.github.sparkrlhf.tables;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.sparkrlhf.spark.JobFailure;
import io.github.sparkrlhf.spark.SparkTestSession;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class TablesTest {
  @TempDir private Path warehouse;
  private SparkSession spark;
  private Tables tables;

  @BeforeEach
  void open() {
    spark = SparkTestSession.withWarehouse(warehouse);
    tables = Tables.open(spark, "rlhf", "rlhf");
    tables.registerViews();
  }

  @Test
  void rowsAreInvisibleUntilTheRunIsComplete() {
    Run run = tables.begin("score", "r1", "{}");
    assertThat(run.write(Table.SCORES, scores(3))).isEqualTo(3);
    tables.registerViews();

    assertThat(spark.table("scores").count()).isZero();
    assertThat(run.rows(Table.SCORES).count()).isEqualTo(3);
    assertThatThrownBy(() -> tables.rows(Table.SCORES, "r1"))
        .isInstanceOf(JobFailure.class)
        .hasMessage(
            "Cannot read table 'scores': run 'r1' is not complete; complete runs that wrote it: none");

    run.complete(Map.of("rows", 3));

    assertThat(spark.table("scores").count()).isEqualTo(3);
    assertThat(tables.rows(Table.SCORES, "r1").count()).isEqualTo(3);
    assertThat(tables.rows(Table.SCORES, "r1").columns()).doesNotContain("run_id");
    assertThat(spark.sql("SELECT job, status, summary FROM runs").collectAsList().toString())
        .isEqualTo("[[score,complete,{\"rows\":3}]]");
  }

  @Test
  void aSecondAttemptReplacesWhatTheFirstLeftBehind() {
    tables.begin("score", "r1", "{}").write(Table.SCORES, scores(5));

    Run again = tables.begin("score", "r1", "{}");
    assertThat(again.isComplete()).isFalse();
    again.write(Table.SCORES, scores(2));
    again.complete(Map.of());

    assertThat(tables.rows(Table.SCORES, "r1").count()).isEqualTo(2);
  }

  @Test
  void oneRunDoesNotTouchTheRowsOfAnother() {
    complete("r1", 2);
    complete("r2", 4);

    assertThat(tables.rows(Table.SCORES, "r1").count()).isEqualTo(2);
    assertThat(tables.rows(Table.SCORES, "r2").count()).isEqualTo(4);
    assertThat(spark.table("scores").count()).isEqualTo(6);
  }

  @Test
  void aCompleteRunIsKnownWithItsConfiguration() {
    complete("r1", 1);

    assertThat(tables.begin("score", "r1", "{}").isComplete()).isTrue();
    assertThat(tables.configurationOf("r1")).contains("{}");
    assertThat(tables.configurationOf("r2")).isEmpty();
    assertThatThrownBy(() -> tables.begin("score", "r1", "{\"seed\":2}"))
        .hasMessage("Cannot run score: run 'r1' is complete with another configuration: {}")
        .extracting(e -> ((JobFailure) e).kind())
        .isEqualTo(JobFailure.Kind.USAGE);
  }

  @Test
  void aRunIsResolvedOnlyIfItIsTheOnlyOne() {
    assertThatThrownBy(() -> tables.resolveRun(Table.SCORES, null))
        .hasMessageContaining("no complete run wrote it");
    complete("r1", 1);
    assertThat(tables.resolveRun(Table.SCORES, null)).isEqualTo("r1");
    complete("r2", 1);
    assertThatThrownBy(() -> tables.resolveRun(Table.SCORES, null))
        .hasMessage(
            "Cannot read table 'scores': name one of its runs; complete runs that wrote it: r1, r2");
    assertThat(tables.resolveRun(Table.SCORES, "r2")).isEqualTo("r2");
  }

  @Test
  void anotherSessionSeesTheSameRows() {
    complete("r1", 3);
    SparkSession other = SparkTestSession.withWarehouse(warehouse);
    Tables.open(other, "rlhf", "rlhf").registerViews();

    assertThat(other.table("scores").count()).isEqualTo(3);
  }

  @Test
  void rowsWithOtherColumnsAreRefused() {
    Run run = tables.begin("score", "r1", "{}");
    assertThatThrownBy(() -> run.write(Table.SCORES, scores(1).drop("score")))
        .isInstanceOf(IllegalArgumentException.class);
  }

  @Test
  void aWarehouseBelowAFileIsNotWritable() throws Exception {
    Path file = Files.writeString(warehouse.resolve("file"), "");
    SparkSession session = SparkTestSession.withWarehouse(file.resolve("warehouse"));
    assertThatThrownBy(() -> Tables.open(session, "rlhf", "rlhf"))
        .isInstanceOf(JobFailure.class)
        .hasMessageStartingWith(
            "Cannot write to the warehouse " + file.resolve("warehouse") + ": ");
  }

  private void complete(String runId, int rows) {
    Run run = tables.begin("score", runId, "{}");
    run.write(Table.SCORES, scores(rows));
    run.complete(Map.of());
  }

  private Dataset<Row> scores(int rows) {
    return spark
        .range(rows)
        .selectExpr(
            "0 AS iteration",
            "CAST(id AS STRING) AS row_id",
            "'p' AS prompt",
            "'r' AS response",
            "CAST(id AS DOUBLE) AS score",
            "'m' AS model",
            "false AS truncated");
  }
}
