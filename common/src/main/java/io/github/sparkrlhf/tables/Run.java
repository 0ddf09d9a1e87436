package io.github.sparkrlhf.tables;

import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.lit;

import io.github.sparkrlhf.spark.StableHash;
import java.sql.Timestamp;
import java.time.Instant;
import java.util.Arrays;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.catalyst.analysis.NoSuchTableException;

/**
 * One run of a job: writes its rows to tables and, at the very end, makes them all visible.
 *
 * <p>Each write is one atomic commit that replaces what the run wrote to that table before. Until
 * {@link #complete} the rows are invisible, so a run that fails leaves nothing to see.
 */
public final class Run {
  /** The column of tables that are written iteration by iteration. */
  public static final String ITERATION = "iteration";

  private final Tables tables;
  private final String job;
  private final String id;
  private final String configurationJson;
  private final boolean complete;
  private final Instant startedAt = Instant.now();
  private final Set<Table> written = EnumSet.noneOf(Table.class);

  Run(Tables tables, String job, String id, String configurationJson, boolean complete) {
    this.tables = tables;
    this.job = job;
    this.id = id;
    this.configurationJson = configurationJson;
    this.complete = complete;
  }

  /** The id that all rows of the run carry. */
  public String id() {
    return id;
  }

  /** Everything that decides the run's result: all options that can change it, and inputs. */
  public String configuration() {
    return configurationJson;
  }

  /** The SHA-256 of the run's configuration: all options that can change its result, and inputs. */
  public String configurationDigest() {
    return StableHash.sha256(configurationJson);
  }

  /** Whether the run was already complete when it began: then there is nothing to do. */
  public boolean isComplete() {
    return complete;
  }

  /**
   * Replaces the run's rows in a table by these, in one atomic commit.
   *
   * @param rows with exactly the columns of the table but {@code run_id}, in any order
   * @return how many rows were written
   */
  public long write(Table table, Dataset<Row> rows) {
    overwrite(table, rows, col(Table.RUN_ID).equalTo(id));
    return rows(table).count();
  }

  /**
   * Replaces the run's rows of one iteration by these, in one atomic commit; its rows of other
   * iterations stay. A run that is resumed writes the iterations since its checkpoint again.
   *
   * @param table with a column {@value #ITERATION}
   * @param rows all of this iteration, with exactly the columns of the table but {@code run_id}
   */
  public void writeIteration(Table table, int iteration, Dataset<Row> rows) {
    overwrite(table, rows, col(Table.RUN_ID).equalTo(id).and(col(ITERATION).equalTo(iteration)));
  }

  /**
   * The iterations that an earlier, interrupted attempt at this run wrote. None if an attempt under
   * the same id had another configuration: then what is there is not what this one would write.
   */
  public Set<Integer> writtenIterations(Table table) {
    if (!tables.configurationsOf(table, id).equals(Set.of(configurationDigest()))) {
      return Set.of();
    }
    return rows(table).select(ITERATION).distinct().collectAsList().stream()
        .map(row -> row.getInt(0))
        .collect(Collectors.toSet());
  }

  /** Removes what the run wrote for iterations above the last. */
  public void removeIterationsAfter(Table table, int last) {
    tables.delete(table, id, ITERATION + " > " + last);
    written.add(table);
  }

  private void overwrite(Table table, Dataset<Row> rows, Column replaced) {
    requireColumns(table, rows);
    Column[] columns =
        Arrays.stream(table.schema().fieldNames())
            .map(name -> name.equals(Table.RUN_ID) ? lit(id).as(name) : rows.col(name))
            .toArray(Column[]::new);
    tables.createIfMissing(table);
    try {
      rows.select(columns)
          .writeTo(tables.fullName(table))
          .option(Tables.SNAPSHOT_PROPERTY + Tables.SNAPSHOT_RUN, id)
          .option(Tables.SNAPSHOT_PROPERTY + Tables.SNAPSHOT_CONFIGURATION, configurationDigest())
          .overwrite(replaced);
    } catch (NoSuchTableException e) {
      throw new IllegalStateException("Table " + table.tableName() + " was dropped meanwhile", e);
    }
    written.add(table);
  }

  /** What this run has written to a table so far, without {@code run_id}. */
  public Dataset<Row> rows(Table table) {
    return tables.written(table, id);
  }

  /**
   * Makes everything the run wrote visible, and removes what an earlier attempt under the same id
   * left in other tables. It is the last thing a run does.
   *
   * @param summary what a person wants to know about the run, stored as JSON
   */
  public void complete(Map<String, Object> summary) {
    for (Table table : Table.values()) {
      if (table != Table.RUNS && !written.contains(table)) {
        tables.delete(table, id, "true");
      }
    }
    Row row =
        RowFactory.create(
            job,
            "complete",
            configurationJson,
            Json.sorted(summary),
            Timestamp.from(startedAt),
            Timestamp.from(Instant.now()),
            version());
    write(Table.RUNS, tables.spark().createDataFrame(List.of(row), Table.RUNS.schemaWithoutRun()));
    tables.registerViews();
  }

  private static String version() {
    String version = Run.class.getPackage().getImplementationVersion();
    return version == null ? "development" : version;
  }

  private static void requireColumns(Table table, Dataset<Row> rows) {
    Set<String> expected = Set.of(table.schema().fieldNames());
    List<String> given = List.of(rows.columns());
    boolean same =
        given.size() + 1 == expected.size()
            && expected.containsAll(given)
            && !given.contains(Table.RUN_ID);
    if (!same) {
      throw new IllegalArgumentException(
          "Table " + table.tableName() + " has other columns than " + given);
    }
  }
}
