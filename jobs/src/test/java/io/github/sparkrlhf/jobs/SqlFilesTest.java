package io.github.sparkrlhf.jobs;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.sparkrlhf.spark.SparkTestSession;
import io.github.sparkrlhf.tables.Run;
import io.github.sparkrlhf.tables.Table;
import io.github.sparkrlhf.tables.Tables;
import java.io.IOException;
import java.io.StringReader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.stream.Stream;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** The scripts in conf/sql, in a session that knows the catalog and nothing else of the suite. */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
class SqlFilesTest {
  private static final Path FOLDER = Path.of("..", "conf", "sql");

  private SparkSession spark;
  private Path warehouse;

  @BeforeAll
  void writesTables(@TempDir Path folder) throws IOException {
    warehouse = folder;
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
    tables.begin("pairs", "unfinished", "{}").write(Table.PAIRS, tables.rows(Table.PAIRS, "votes"));
    spark = SparkTestSession.get().newSession();
    Properties catalog = new Properties();
    catalog.load(new StringReader(Files.readString(FOLDER.resolve("catalog.conf"))));
    catalog.stringPropertyNames().stream()
        .filter(name -> name.startsWith("spark.sql.catalog."))
        .forEach(name -> spark.conf().set(name, catalog.getProperty(name)));
    spark.conf().set("spark.sql.catalog.rlhf.warehouse", folder.toString());
    run("tables.sql");
    run("views.sql");
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

  static Stream<Path> queries() throws IOException {
    try (Stream<Path> files = Files.list(FOLDER.resolve("queries"))) {
      return files.sorted().toList().stream();
    }
  }

  @ParameterizedTest
  @MethodSource("queries")
  void everyQueryFindsSomething(Path query) throws IOException {
    String text = Files.readString(query);
    assertThat(text).startsWith("-- ");
    List<String> statements = SqlJob.statements(text);
    assertThat(statements).hasSize(1);
    assertThat(spark.sql(statements.get(0)).collectAsList())
        .isNotEmpty()
        .noneMatch(row -> row.mkString("|").contains("unfinished"));
  }

  @Test
  void thereAreTwentyQueriesAndThePageNamesEach() throws IOException {
    String page = Files.readString(Path.of("..", "docs", "sql.md"));
    assertThat(queries())
        .hasSizeGreaterThanOrEqualTo(20)
        .allMatch(query -> page.contains("(../conf/sql/queries/" + query.getFileName() + ")"));
  }

  @Test
  void theJobRunsFilesBeforeTheStatement() {
    CommandLineRun run =
        CommandLineRun.of(
            "sql",
            "--file",
            FOLDER.resolve("views.sql").toString(),
            "SELECT run_id, accuracy FROM reward_models",
            "--format",
            "csv",
            "--warehouse",
            warehouse.toString());
    assertThat(run.err()).isEmpty();
    assertThat(run.out()).isEqualTo("run_id,accuracy\nreward,0.7\n");
    assertThat(CommandLineRun.of("sql", "--warehouse", warehouse.toString()).err())
        .isEqualTo("There is nothing to run: give a statement or --file\n");
  }

  private void run(String script) throws IOException {
    SqlJob.statements(Files.readString(FOLDER.resolve(script))).forEach(spark::sql);
  }
}
