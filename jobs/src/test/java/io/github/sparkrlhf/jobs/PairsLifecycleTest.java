package io.github.sparkrlhf.jobs;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.sparkrlhf.spark.SparkTestSession;
import io.github.sparkrlhf.tables.Table;
import io.github.sparkrlhf.tables.Tables;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.functions;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A log that grows, that people want to be removed from, and that leaves for another trainer. */
class PairsLifecycleTest {
  private static final List<Table> FEEDBACK_TABLES =
      List.of(
          Table.COMPARISONS,
          Table.PAIRS,
          Table.QUARANTINE,
          Table.ANNOTATORS,
          Table.AGREEMENT,
          Table.BIAS_AUDIT,
          Table.SPLITS,
          Table.DUPLICATES,
          Table.FEEDBACK_METRICS);

  /** 400 votes of 12 people on 100 pairs of 20 prompts, some of them broken. */
  private static final String VOTES =
      """
      SELECT 'vote-' || lpad(id, 3, '0') AS feedback_id,
        'What is the answer to question ' || (id % 20) || '?' AS prompt,
        IF(id % 3 = 0, 'yes ', 'no ') || (id % 100) AS response_a,
        CASE WHEN id % 50 = 49 THEN '' WHEN id % 3 = 0 THEN 'no ' || (id % 100)
          ELSE 'yes ' || (id % 100) END AS response_b,
        CASE WHEN xxhash64(id) % 7 = 0 THEN 'tie' WHEN (xxhash64(id, 'x') % 4 = 0) THEN 'b'
          ELSE 'a' END AS choice,
        CAST(1 + id % 3 AS DOUBLE) AS margin,
        'anna-' || (xxhash64(id, 'who') % 6 + 6) AS annotator_id,
        timestamp_seconds(1700000000 + 30 * id) AS created_at,
        'conversation-' || (id % 20) AS group_key
      FROM range(400)""";

  /**
   * Holds the log and the warehouse that tests share: they add runs and leave the log as it was.
   */
  @TempDir private static Path shared;

  private static Path log;

  private Path warehouse = shared.resolve("warehouse");

  @TempDir private Path folder;

  /** A log in two files, a run of pairs over the first of them, and one over both. */
  @BeforeAll
  static void firstAndWhole() {
    log = shared.resolve("log");
    PairsLifecycleTest before = new PairsLifecycleTest();
    append(log, "feedback_id < 'vote-250'");
    before.pairs(log, "first");
    append(log, "feedback_id >= 'vote-250'");
    before.pairs(log, "whole");
  }

  @Test
  void aLogThatHasGrownEndsWithTheSameTablesAsIfItWereReadWhole() {
    String continued = pairs(log, "continued", "--base", "first");

    assertThat(continued).doesNotContain("reading all rows again");
    assertSame("continued", "whole");
    assertThat(rows("whole", Table.COMPARISONS)).hasSizeGreaterThan(300);
  }

  @Test
  void aVoteThatIsDeliveredAgainIsFoundInTheEarlierRun() throws Exception {
    List<Path> before = files();
    append(log, "feedback_id IN ('vote-248', 'vote-249')");
    try {
      String continued = pairs(log, "redelivered", "--base", "first");

      assertThat(continued).contains("Run first has some of the new ids: reading all rows again");
      assertThat(rows("redelivered", Table.QUARANTINE))
          .filteredOn(row -> row.contains("duplicate_feedback_id"))
          .hasSize(1);
    } finally {
      for (Path file : files()) {
        if (!before.contains(file)) {
          Files.delete(file);
        }
      }
    }
  }

  @Test
  void anIcebergTableThatHasGrownIsReadFromItsLastSnapshotOn() {
    // Of the same name as the file: rows say which log they are from.
    String votes = " SELECT * FROM (" + VOTES + ")";
    run("sql", "CREATE TABLE log USING iceberg AS" + votes + " LIMIT 0");
    run("sql", "INSERT INTO log" + votes + " WHERE feedback_id < 'vote-100'");
    run("pairs", "--input", "log", "--run-id", "table-first");
    run("sql", "INSERT INTO log" + votes + " WHERE feedback_id >= 'vote-100'");

    run("pairs", "--input", "log", "--run-id", "table-continued", "--base", "table-first");

    assertSame("table-continued", "whole");
  }

  @Test
  void onlyARunWithTheSameOptionsOverFilesThatAreStillThereCanBeContinued() throws Exception {
    assertFails(2, "There is no complete run 'nobody'", log, "--base", "nobody");
    assertFails(
        2,
        "Cannot go on from run 'first': it had other options",
        log,
        "--base",
        "first",
        "--seed",
        "3");
    List<Path> moved = files();
    for (Path file : moved) {
      Files.move(file, folder.resolve(file.getFileName()));
    }
    try {
      append(log, "feedback_id > 'vote-100'");
      assertFails(2, "Cannot read only what is new in ", log, "--base", "first");
    } finally {
      for (Path file : files()) {
        Files.delete(file);
      }
      for (Path file : moved) {
        Files.move(folder.resolve(file.getFileName()), file);
      }
    }
  }

  @Test
  void aForgottenAnnotatorIsNowhereAndEverythingIsAsIfTheyHadNeverVoted() throws Exception {
    warehouse = folder.resolve("warehouse");
    Path log = folder.resolve("log");
    Path without = folder.resolve("without").resolve("log");
    append(log, "true");
    append(without, "annotator_id <> 'anna-7' AND feedback_id <> 'vote-003'");
    pairs(log, "run");
    pairs(without, "without");
    run("reward", "--pairs-run", "run", "--output", folder.resolve("model").toString());

    String out = run("forget", "--annotator", "anna-7", "--feedback-id", "vote-003");

    assertThat(out).contains("Run run: ").contains("which wrote " + folder.resolve("model"));
    assertSame("run", "without");
    assertThat(
            session()
                .read()
                .parquet(warehouse + "/rlhf/comparisons/data/run_id=run")
                .where("annotator_id = 'anna-7'")
                .count())
        .as("no data file keeps the votes")
        .isZero();
    assertThat(run("forget", "--annotator", "anna-7")).contains("Nothing to forget");
    assertThat(
            session()
                .sql("SELECT string(collect_list(configuration)) AS c FROM runs")
                .first()
                .getString(0))
        .doesNotContain("anna-7");
  }

  @Test
  void anExportIsReadBackAsTheSameComparisons() {
    assertExportIsReadBack("whole", "verl", "verl");
  }

  @Test
  void anExportWithoutStrengthsIsReadBackAsTheSameComparisons() {
    Path log = folder.resolve("log");
    append(log, "true", "margin");
    pairs(log, "without-strengths");
    assertExportIsReadBack("without-strengths", "trl", "trl");
  }

  private void assertExportIsReadBack(String run, String layout, String again) {
    String export = folder.resolve(layout).toString();
    run(
        "export",
        "--pairs-run",
        run,
        "--rows",
        "comparisons",
        "--layout",
        layout,
        "--output",
        export);
    run("pairs", "--layout", "trl", "--input", export, "--run-id", again);
    assertThat(comparisons(again)).as(layout).isNotEmpty().isEqualTo(comparisons(run));
  }

  private List<String> comparisons(String run) {
    return session()
        .table("comparisons")
        .where(functions.col("run_id").equalTo(run))
        .where("choice <> 'tie'")
        .selectExpr(
            "feedback_id",
            "pair_id",
            "prompt",
            "response_a",
            "response_b",
            "choice",
            "margin",
            "annotator_id",
            "created_at",
            "group_key",
            "split")
        .collectAsList()
        .stream()
        .map(Row::toString)
        .sorted()
        .toList();
  }

  /** The data files of the log. */
  private static List<Path> files() throws IOException {
    try (Stream<Path> files = Files.list(log)) {
      return files.filter(file -> file.getFileName().toString().startsWith("part-")).toList();
    }
  }

  private static void append(Path log, String condition, String... without) {
    SparkTestSession.get()
        .sql("SELECT * FROM (" + VOTES + ") WHERE " + condition)
        .drop(without)
        .coalesce(1)
        .write()
        .mode("append")
        .parquet(log.toString());
  }

  private String pairs(Path log, String run, String... options) {
    String[] command = {"pairs", "--input", log.toString(), "--run-id", run};
    return run(
        Stream.concat(Arrays.stream(command), Arrays.stream(options)).toArray(String[]::new));
  }

  private String run(String... command) {
    CommandLineRun run = attempt(command);
    assertThat(run.err()).isEmpty();
    assertThat(run.exitCode()).isZero();
    return run.out();
  }

  private CommandLineRun attempt(String... command) {
    String[] options = {"--warehouse", warehouse.toString()};
    return CommandLineRun.of(
        Stream.concat(Arrays.stream(command), Arrays.stream(options)).toArray(String[]::new));
  }

  private void assertFails(int exitCode, String message, Path log, String... options) {
    String[] command = {"pairs", "--input", log.toString(), "--run-id", "failing"};
    CommandLineRun run =
        attempt(
            Stream.concat(Arrays.stream(command), Arrays.stream(options)).toArray(String[]::new));
    assertThat(run.err()).startsWith(message);
    assertThat(run.exitCode()).isEqualTo(exitCode);
  }

  private void assertSame(String run, String other) {
    for (Table table : FEEDBACK_TABLES) {
      assertThat(rows(run, table)).as(table.tableName()).isEqualTo(rows(other, table));
    }
  }

  private List<String> rows(String run, Table table) {
    Dataset<Row> rows =
        session()
            .table(table.tableName())
            .where(functions.col("run_id").equalTo(run))
            .drop("run_id");
    return rows.collectAsList().stream().map(Row::toString).sorted().toList();
  }

  private SparkSession session() {
    SparkSession spark = SparkTestSession.withWarehouse(warehouse);
    Tables.open(spark, "rlhf", "rlhf").registerViews();
    return spark;
  }
}
