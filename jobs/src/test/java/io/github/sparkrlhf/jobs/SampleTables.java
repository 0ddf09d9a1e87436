package io.github.sparkrlhf.jobs;

import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.lit;

import io.github.sparkrlhf.tables.Run;
import io.github.sparkrlhf.tables.Table;
import java.util.Arrays;
import java.util.List;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;

/** Rows of tables, as queries, for tests that want tables and no jobs. */
final class SampleTables {
  private SampleTables() {}

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
}
