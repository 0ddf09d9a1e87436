package io.github.sparkrlhf.feedback;

import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.count;
import static org.apache.spark.sql.functions.lit;
import static org.apache.spark.sql.functions.max;
import static org.apache.spark.sql.functions.min;
import static org.apache.spark.sql.functions.row_number;
import static org.apache.spark.sql.functions.when;
import static org.apache.spark.sql.functions.xxhash64;

import io.github.sparkrlhf.spark.Cached;
import io.github.sparkrlhf.spark.SmallSide;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.expressions.Window;
import org.apache.spark.sql.expressions.WindowSpec;

/**
 * Judgements whose id stands in the input more often than once: of copies one is kept, of
 * judgements that contradict each other none. Only ids are shuffled for all rows, and whole rows
 * where an id repeats.
 */
final class RepeatedIds implements AutoCloseable {
  private static final String HASH = "id_hash";

  private final Cached repeated;
  private final Cached suspects;
  private final Dataset<Row> rows;
  private final long count;

  /**
   * @param read rows as {@link JudgementLog} reads them
   * @param json the row of the log as JSON; evaluated only where an id repeats
   */
  RepeatedIds(Dataset<Row> read, Column json) {
    Dataset<Row> hashed = read.withColumn(HASH, xxhash64(col("feedback_id")));
    this.repeated =
        new Cached(
            hashed
                .groupBy(HASH)
                .agg(count(lit(1)).as("rows"))
                .where(col("rows").gt(1))
                .select(HASH));
    this.count = repeated.rows().count();
    this.suspects = new Cached(judged(onRepeated(hashed, "left_semi"), json));
    this.rows =
        count == 0 ? read : onRepeated(hashed, "left_anti").unionByName(suspects.rows()).drop(HASH);
  }

  /** All rows, those that must not count with their reason. */
  Dataset<Row> rows() {
    return rows;
  }

  @Override
  public void close() {
    repeated.close();
    suspects.close();
  }

  private Dataset<Row> onRepeated(Dataset<Row> hashed, String kind) {
    return hashed.join(SmallSide.of(repeated.rows(), count), new String[] {HASH}, kind);
  }

  private static Dataset<Row> judged(Dataset<Row> rows, Column json) {
    // Unusable rows have their reason already and must not displace a usable row of the same id.
    WindowSpec sameId = Window.partitionBy(col("feedback_id"), col("reason").isNull());
    // Copies may differ in source or unused columns: the order must be total all the same.
    WindowSpec inOrder = sameId.orderBy(col("content"), col("source"), json);
    Column open = col("reason").isNull();
    Column conflicting = col("first_content").notEqual(col("last_content"));
    return rows.withColumn("place", row_number().over(inOrder))
        .withColumn("first_content", min("content").over(sameId))
        .withColumn("last_content", max("content").over(sameId))
        .withColumn(
            "reason",
            when(open.and(conflicting), QuarantineReason.CONFLICTING_FEEDBACK_ID.code())
                .when(open.and(col("place").gt(1)), QuarantineReason.DUPLICATE_FEEDBACK_ID.code())
                .otherwise(col("reason")))
        .drop("place", "first_content", "last_content");
  }
}
