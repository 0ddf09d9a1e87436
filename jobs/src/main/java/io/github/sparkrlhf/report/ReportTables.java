package io.github.sparkrlhf.report;

import static org.apache.spark.sql.functions.col;

import io.github.sparkrlhf.tables.Table;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;

/** The rows that the runs of a report have written. */
final class ReportTables {
  private final SparkSession spark;
  private final List<ShownRun> runs;
  private final Map<Table, List<Row>> measurements = new EnumMap<>(Table.class);

  /**
   * @param spark in which the tables are views of complete runs
   * @param runs in the order in which they are shown
   */
  ReportTables(SparkSession spark, List<ShownRun> runs) {
    this.spark = spark;
    this.runs = List.copyOf(runs);
  }

  List<ShownRun> runs() {
    return runs;
  }

  /** The number of a run, for names in the page. */
  int number(ShownRun run) {
    return runs.indexOf(run);
  }

  /** The number of a run among those of its job: its colour in all plots. */
  int color(ShownRun run) {
    return runs.stream().filter(other -> other.job().equals(run.job())).toList().indexOf(run);
  }

  /** The rows of all runs, with {@code run_id}. */
  Dataset<Row> rows(Table table) {
    Object[] ids = runs.stream().map(ShownRun::id).toArray();
    return spark.table(table.tableName()).where(col(Table.RUN_ID).isin(ids));
  }

  /** The rows of a run in a table of measurements, which is read once and as a whole. */
  List<Row> of(Table table, ShownRun run) {
    List<Row> all = measurements.computeIfAbsent(table, each -> rows(each).collectAsList());
    return where(all, Table.RUN_ID, run.id());
  }

  /** The runs that have rows in a table of measurements. */
  List<ShownRun> runsOf(Table table) {
    return runs.stream().filter(run -> !of(table, run).isEmpty()).toList();
  }

  /** Those rows whose column is a text. */
  static List<Row> where(List<Row> rows, String column, String text) {
    return rows.stream().filter(row -> text.equals(row.<String>getAs(column))).toList();
  }
}
