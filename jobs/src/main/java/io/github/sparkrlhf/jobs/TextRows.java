package io.github.sparkrlhf.jobs;

import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.concat_ws;
import static org.apache.spark.sql.functions.lit;
import static org.apache.spark.sql.functions.row_number;
import static org.apache.spark.sql.functions.sha2;

import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.expressions.Window;

/** Ids for rows of texts that have none. */
final class TextRows {
  private TextRows() {}

  /**
   * Adds an id made of the texts and, for equal texts, of their number: stable under any row order
   * and partitioning, because equal rows are interchangeable.
   *
   * @param rows with the columns prompt and response
   * @param others columns in which rows of equal texts may differ
   */
  static Dataset<Row> withIds(Dataset<Row> rows, String idColumn, Column... others) {
    Column[] order = others.length == 0 ? new Column[] {lit(1)} : others;
    return rows.withColumn(
        idColumn,
        concat_ws(
            "-",
            sha2(concat_ws("\u0000", col("prompt"), col("response")), 256).substr(1, 24),
            row_number().over(Window.partitionBy("prompt", "response").orderBy(order))));
  }
}
