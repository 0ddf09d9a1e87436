package io.github.sparkrlhf.jobs;

import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.lit;

import io.github.sparkrlhf.spark.SparkTestSession;
import io.github.sparkrlhf.tables.Run;
import io.github.sparkrlhf.tables.Table;
import io.github.sparkrlhf.tables.Tables;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;

/** Rows of tables, as queries, for tests that want tables and no jobs. */
final class SampleTables {
  private static Path warehouse;

  private SampleTables() {}

  /**
   * A folder of small tables of every kind, written once in a test process, and one incomplete run.
   */
  static synchronized Path warehouse() throws IOException {
    if (warehouse == null) {
      Path folder = Files.createTempDirectory(Path.of("target"), "sample-tables");
      SparkSession writer = SparkTestSession.withWarehouse(folder);
      Tables tables = Tables.open(writer, "rlhf", "rlhf");
      tables.registerViews();
      write(writer, tables.begin("pairs", "votes", "{\"seed\":0}"), feedback());
      write(writer, tables.begin("reward", "reward", "{\"seed\":0}"), reward());
      write(writer, tables.begin("ppo", "ppo", "{\"seed\":0}"), policy());
      for (String run : List.of("score-1", "score-2")) {
        write(
            writer,
            tables.begin("score", run, "{\"model\":\"" + run + "\"}"),
            Map.of(
                Table.SCORES,
                "SELECT 'r' || id AS row_id, 'p' AS prompt, 'r' || id AS response, id AS score, 'm'"
                    + " AS model FROM range(5)"));
      }
      tables
          .begin("pairs", "unfinished", "{}")
          .write(Table.PAIRS, tables.rows(Table.PAIRS, "votes"));
      warehouse = folder;
    }
    return warehouse;
  }

  /** Writes the rows of a query; columns that it does not have are null. */
  static void write(Run run, Table table, Dataset<Row> rows) {
    List<String> given = List.of(rows.columns());
    run.write(
        table,
        rows.select(
            Arrays.stream(table.schemaWithoutRun().fields())
                .map(
                    field ->
                        (given.contains(field.name()) ? col(field.name()) : lit(null))
                            .cast(field.dataType())
                            .as(field.name()))
                .toArray(Column[]::new)));
  }

  private static Map<Table, String> feedback() {
    return Map.of(
        Table.COMPARISONS,
        "SELECT 'f' || id AS feedback_id, 'p' || id % 2 AS pair_id, 'x' AS prompt, 'good' AS"
            + " response_a, 'bad' AS response_b, if(id = 0, 'b', 'a') AS choice, 'w' AS"
            + " annotator_id, timestamp '2026-01-01 00:00:00' AS started_at, timestamp '2026-01-01"
            + " 00:00:09' AS created_at FROM range(8)",
        Table.PAIRS,
        "SELECT 'p' || id AS pair_id, 'x' AS prompt, 'good' AS chosen, 'bad' AS rejected, 4 AS"
            + " votes, 0.75 AS vote_share, 0.8 AS probability, true AS decided, 'train' AS split"
            + " FROM range(2)",
        Table.QUARANTINE,
        "SELECT 'log' AS source, 'q' AS feedback_id, 'blank_prompt' AS reason, 'prompt' AS detail,"
            + " '{}' AS row",
        Table.ANNOTATORS,
        "SELECT 'w' AS annotator_id, 30 AS votes, 0.9 AS accuracy, 0.8 AS weight, false AS spam",
        Table.AGREEMENT,
        "SELECT 'all' AS source, 'comparison' AS kind, 'raw_agreement' AS metric, 0.5 AS value, 2"
            + " AS units",
        Table.BIAS_AUDIT,
        "SELECT 'all' AS source, 'all' AS split, 'longer' AS rule, 0.5 AS accuracy, 2 AS n",
        Table.SPLITS,
        "SELECT 'train' AS split, 1.0 AS share, 1 AS `groups`, 1 AS prompts, 2 AS pairs, 8 AS"
            + " comparisons, 0 AS shared_groups, 0 AS shared_prompts, 0 AS shared_near_duplicates,"
            + " 0 AS shared_pairs");
  }

  private static Map<Table, String> reward() {
    return Map.of(
        Table.REWARD_METRICS,
        "SELECT 'm' AS model, 'bradley-terry' AS kind, 'test' AS split, 'all' AS slice, 'all' AS"
            + " slice_value, 'accuracy' AS metric, 0.7 AS value, 0.6 AS low, 0.8 AS high, 50 AS n",
        Table.RELIABILITY,
        "SELECT 'm' AS model, 'test' AS split, 'none' AS method, id AS bin, 5 AS n, 0.6 AS"
            + " predicted, 0.6 AS observed FROM range(2)",
        Table.SFT_METRICS,
        "SELECT id AS step, 0 AS epoch, 'loss' AS metric, 2.0 / id AS value FROM range(1, 5)");
  }

  private static Map<Table, String> policy() {
    return Map.of(
        Table.PPO_METRICS,
        "SELECT id AS iteration, metric, id AS value FROM range(3), VALUES ('objective/kl'),"
            + " ('objective/raw_scores') AS m(metric)",
        Table.ROLLOUTS,
        "SELECT id % 3 AS iteration, 'r' || id AS rollout_id, 0 AS sample, 'p' || id % 2 AS prompt,"
            + " 'answer ' || id AS response, array_repeat(7, cast(id AS INT)) AS response_tokens,"
            + " id AS score, 0.1 AS kl FROM range(12)");
  }

  private static void write(SparkSession session, Run run, Map<Table, String> rows) {
    rows.forEach((table, query) -> SampleTables.write(run, table, session.sql(query)));
    run.complete(Map.of());
  }
}
