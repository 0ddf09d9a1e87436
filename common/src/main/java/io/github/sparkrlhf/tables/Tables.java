package io.github.sparkrlhf.tables;

import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.lit;

import io.github.sparkrlhf.spark.Failures;
import io.github.sparkrlhf.spark.JobFailure;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.UUID;
import java.util.stream.Collectors;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.iceberg.expressions.Expression;
import org.apache.iceberg.expressions.Expressions;
import org.apache.iceberg.spark.Spark3Util;
import org.apache.iceberg.spark.actions.SparkActions;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Encoders;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.catalyst.analysis.NoSuchTableException;
import org.apache.spark.sql.catalyst.parser.ParseException;
import org.apache.spark.sql.types.StructField;
import org.apache.spark.sql.types.StructType;

/**
 * The tables in their catalog, seen from one session. Only rows of complete runs are read here:
 * those whose run stands in {@code runs}.
 */
public final class Tables {
  /** What begins the options of a write that become properties of its snapshot. */
  static final String SNAPSHOT_PROPERTY = "snapshot-property.";

  /** The property of a snapshot that names the run that wrote it. */
  static final String SNAPSHOT_RUN = "rlhf.run";

  /** The property of a snapshot with the digest of that run's configuration. */
  static final String SNAPSHOT_CONFIGURATION = "rlhf.configuration";

  private static final String COMPLETE = "complete";
  private static final String REOPENED = "reopened";

  private final SparkSession spark;
  private final String catalog;
  private final String database;

  private Tables(SparkSession spark, String catalog, String database) {
    this.spark = spark;
    this.catalog = catalog;
    this.database = database;
  }

  /**
   * Opens the tables, creates their namespace, and makes it the session's current one, so that a
   * bare table name means a table here.
   *
   * @throws JobFailure if the warehouse cannot be opened
   */
  public static Tables open(SparkSession spark, String catalog, String database) {
    Tables tables = new Tables(spark, catalog, database);
    try {
      spark.sql("CREATE NAMESPACE IF NOT EXISTS " + quoted(catalog) + "." + quoted(database));
      spark.sql("USE " + quoted(catalog) + "." + quoted(database));
    } catch (RuntimeException e) {
      throw tables.notWritable(e);
    }
    return tables;
  }

  /**
   * The rows of one complete run, without {@code run_id}.
   *
   * @throws JobFailure if the run is not complete
   */
  public Dataset<Row> rows(Table table, String runId) {
    if (!isComplete(runId)) {
      throw JobFailure.usage(unresolved(table, "run '" + runId + "' is not complete"));
    }
    return written(table, runId);
  }

  /**
   * The run to read a table from: the given one if it is complete, else the only complete run that
   * wrote the table. It is never "the latest": what a job reads must not depend on when it runs.
   *
   * @param runId the run that the user named, or null
   * @throws JobFailure if that run is not complete, or if none or several wrote the table
   */
  public String resolveRun(Table table, String runId) {
    if (runId != null) {
      if (!isComplete(runId)) {
        throw JobFailure.usage(unresolved(table, "run '" + runId + "' is not complete"));
      }
      return runId;
    }
    List<String> candidates = runsOf(table);
    if (candidates.size() != 1) {
      String why = candidates.isEmpty() ? "no complete run wrote it" : "name one of its runs";
      throw JobFailure.usage(unresolved(table, why));
    }
    return candidates.get(0);
  }

  /** The configuration of a complete run as JSON; empty if there is no such run. */
  public Optional<String> configurationOf(String runId) {
    if (!exists(Table.RUNS)) {
      return Optional.empty();
    }
    return spark
        .table(fullName(Table.RUNS))
        .where(col(Table.RUN_ID).equalTo(runId).and(col("status").equalTo(COMPLETE)))
        .select("configuration")
        .as(Encoders.STRING())
        .collectAsList()
        .stream()
        .findFirst();
  }

  /**
   * Begins a run, or finds it complete. What an earlier attempt left behind is invisible and is
   * replaced as this one writes.
   *
   * @param configurationJson everything that decides the run's result
   * @throws JobFailure if a run of this id is complete with another configuration, or if the
   *     warehouse is not writable
   */
  public Run begin(String job, String runId, String configurationJson) {
    Optional<String> before = configurationOf(runId);
    if (before.isPresent() && !before.get().equals(configurationJson)) {
      throw JobFailure.usage(
          "Cannot run "
              + job
              + ": run '"
              + runId
              + "' is complete with another configuration: "
              + before.get());
    }
    if (before.isEmpty()) {
      probeWarehouse();
    }
    return new Run(this, job, runId, configurationJson, before.isPresent());
  }

  /**
   * Takes up a complete run again to remove rows from it. Until it is complete once more nobody
   * sees any of its rows; {@link #reopened} names it if that never happens.
   */
  public Run reopen(String runId) {
    Column isRun = col(Table.RUN_ID).equalTo(runId);
    Dataset<Row> runs = spark.table(fullName(Table.RUNS)).where(isRun);
    Row run = runs.select("job", "configuration").first();
    try {
      runs.withColumn("status", lit(REOPENED)).writeTo(fullName(Table.RUNS)).overwrite(isRun);
    } catch (NoSuchTableException e) {
      throw new IllegalStateException("Table runs was dropped meanwhile", e);
    }
    return new Run(this, run.getString(0), runId, run.getString(1), false);
  }

  /** The runs that were reopened and are not complete again, sorted. */
  public List<String> reopened() {
    return exists(Table.RUNS)
        ? ids(spark.table(fullName(Table.RUNS)).where(col("status").equalTo(REOPENED)))
        : List.of();
  }

  /** The complete runs that have a row in a table that meets a condition, sorted. */
  public List<String> runsWith(Table table, Column condition) {
    return exists(table) && exists(Table.RUNS)
        ? ids(complete(spark.table(fullName(table)).where(condition)))
        : List.of();
  }

  /** All complete runs: run_id, job, configuration. */
  public List<Row> completeRuns() {
    return exists(Table.RUNS)
        ? spark
            .table(fullName(Table.RUNS))
            .where(col("status").equalTo(COMPLETE))
            .select(Table.RUN_ID, "job", "configuration")
            .sort(Table.RUN_ID)
            .collectAsList()
        : List.of();
  }

  /**
   * Deletes the files that only past snapshots of the tables need. What a commit removed can be
   * read again until then. Readers that are at work on a past snapshot fail.
   */
  public void forgetHistory() {
    for (Table table : Table.values()) {
      if (exists(table)) {
        // The table's own method leaves the files that its last commit removed.
        SparkActions.get(spark)
            .expireSnapshots(iceberg(table))
            .expireOlderThan(System.currentTimeMillis())
            .retainLast(1)
            .execute();
      }
    }
  }

  private org.apache.iceberg.Table iceberg(Table table) {
    try {
      return Spark3Util.loadIcebergTable(spark, fullName(table));
    } catch (NoSuchTableException | ParseException e) {
      throw new IllegalStateException("Table " + table.tableName() + " was dropped meanwhile", e);
    }
  }

  /** Registers a temporary view for each table by its bare name: the rows of complete runs only. */
  public void registerViews() {
    boolean anyRun = exists(Table.RUNS);
    for (Table table : Table.values()) {
      if (anyRun && exists(table)) {
        spark.sql(viewStatement(table, fullName(table), fullName(Table.RUNS)));
      } else {
        spark.createDataFrame(List.of(), table.schema()).createOrReplaceTempView(table.tableName());
      }
    }
  }

  SparkSession spark() {
    return spark;
  }

  /** The digests of the configurations under which a run wrote to a table. */
  Set<String> configurationsOf(Table table, String runId) {
    if (!exists(table)) {
      return Set.of();
    }
    Column summary = col("summary");
    return spark
        .table(fullName(table) + ".snapshots")
        .where(summary.getItem(SNAPSHOT_RUN).equalTo(runId))
        .select(summary.getItem(SNAPSHOT_CONFIGURATION))
        .distinct()
        .as(Encoders.STRING())
        .collectAsList()
        .stream()
        .collect(Collectors.toSet());
  }

  /** What a run has written so far, complete or not, without {@code run_id}. */
  Dataset<Row> written(Table table, String runId) {
    Dataset<Row> all =
        exists(table)
            ? spark.table(fullName(table))
            : spark.createDataFrame(List.of(), table.schema());
    return all.where(col(Table.RUN_ID).equalTo(runId)).drop(Table.RUN_ID);
  }

  /** Deletes a run's rows that meet a condition; commits nothing if there are none. */
  void delete(Table table, String runId, String condition) {
    if (hasFiles(table, runId) && !written(table, runId).where(condition).isEmpty()) {
      spark.sql(
          "DELETE FROM %s WHERE %s = '%s' AND %s"
              .formatted(fullName(table), Table.RUN_ID, escaped(runId), condition));
    }
  }

  /** Tables are partitioned by run: that there is nothing of it is known without a query. */
  private boolean hasFiles(Table table, String runId) {
    if (!exists(table)) {
      return false;
    }
    Expression ofRun = Expressions.equal(Table.RUN_ID, runId);
    try (var files = iceberg(table).newScan().filter(ofRun).planFiles()) {
      return files.iterator().hasNext();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  void createIfMissing(Table table) {
    if (exists(table)) {
      addMissingColumns(table);
      return;
    }
    spark.sql(createStatement(table, fullName(table)));
  }

  /**
   * The statement that creates a table if there is none.
   *
   * @param name the table's full name, quoted where it must be
   */
  static String createStatement(Table table, String name) {
    String columns =
        Arrays.stream(table.schema().fields())
            .map(StructField::toDDL)
            .collect(Collectors.joining(",\n  "));
    // All rows of a write belong to one run: to distribute them by run would give one task all.
    return "CREATE TABLE IF NOT EXISTS "
        + name
        + " (\n  "
        + columns
        + "\n) USING iceberg PARTITIONED BY ("
        + Table.RUN_ID
        + ")\nTBLPROPERTIES ('write.distribution-mode'='none',"
        // Enough for names; texts give up their dictionary sooner.
        + " 'write.parquet.dict-size-bytes'='131072',"
        + " 'write.spark.fanout.enabled'='true',"
        + " 'write.metadata.delete-after-commit.enabled'='true',"
        + " 'write.metadata.previous-versions-max'='20')";
  }

  /**
   * The statement that makes the rows of complete runs a view by the table's bare name.
   *
   * @param name the table's full name
   * @param runs that of the table of runs
   */
  static String viewStatement(Table table, String name, String runs) {
    return "CREATE OR REPLACE TEMPORARY VIEW "
        + quoted(table.tableName())
        + " AS SELECT * FROM "
        + name
        + " WHERE run_id IN (SELECT run_id FROM "
        + runs
        + " WHERE status = '"
        + COMPLETE
        + "')";
  }

  /** A table that an earlier version made has null in the columns that came later. */
  private void addMissingColumns(Table table) {
    List<String> present = List.of(spark.table(fullName(table)).columns());
    StructType missing = new StructType();
    for (StructField field : table.schema().fields()) {
      if (!present.contains(field.name())) {
        missing = missing.add(field);
      }
    }
    if (!missing.isEmpty()) {
      spark.sql("ALTER TABLE " + fullName(table) + " ADD COLUMNS (" + missing.toDDL() + ")");
    }
  }

  String fullName(Table table) {
    return quoted(catalog) + "." + quoted(database) + "." + quoted(table.tableName());
  }

  private boolean isComplete(String runId) {
    return configurationOf(runId).isPresent();
  }

  private boolean exists(Table table) {
    return spark.catalog().tableExists(fullName(table));
  }

  private List<String> runsOf(Table table) {
    return runsWith(table, lit(true));
  }

  private Dataset<Row> complete(Dataset<Row> rows) {
    Dataset<Row> runs = spark.table(fullName(Table.RUNS)).where(col("status").equalTo(COMPLETE));
    return rows.join(runs.select(Table.RUN_ID), new String[] {Table.RUN_ID}, "left_semi");
  }

  private static List<String> ids(Dataset<Row> rows) {
    return rows.select(Table.RUN_ID)
        .distinct()
        .sort(Table.RUN_ID)
        .as(Encoders.STRING())
        .collectAsList();
  }

  private static String escaped(String text) {
    return text.replace("\\", "\\\\").replace("'", "\\'");
  }

  private String unresolved(Table table, String why) {
    return "Cannot read table '"
        + table.tableName()
        + "': "
        + why
        + "; complete runs that wrote it: "
        + (runsOf(table).isEmpty() ? "none" : String.join(", ", runsOf(table)));
  }

  /** Finds out before the work, not after it, that its result could not be stored. */
  private void probeWarehouse() {
    Optional<String> warehouse = warehouse();
    if (warehouse.isEmpty()) {
      return;
    }
    Path probe = new Path(warehouse.get(), ".writable-" + UUID.randomUUID());
    try {
      FileSystem files = probe.getFileSystem(spark.sessionState().newHadoopConf());
      files.create(probe).close();
      files.delete(probe, false);
    } catch (IOException e) {
      throw notWritable(e);
    }
  }

  private Optional<String> warehouse() {
    String prefix = "spark.sql.catalog." + catalog;
    return spark.conf().get(prefix + ".type", "").equals("hadoop")
        ? Optional.of(spark.conf().get(prefix + ".warehouse"))
        : Optional.empty();
  }

  private JobFailure notWritable(Exception cause) {
    return JobFailure.failure(
        "Cannot write to the warehouse "
            + warehouse().orElse("of catalog '" + catalog + "'")
            + ": "
            + Failures.rootMessage(cause),
        cause);
  }

  private static String quoted(String identifier) {
    return "`" + identifier.replace("`", "``") + "`";
  }
}
