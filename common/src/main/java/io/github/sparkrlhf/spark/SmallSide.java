package io.github.sparkrlhf.spark;

import static org.apache.spark.sql.functions.broadcast;

import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;

/**
 * The small side of a join. Spark takes rows that come from an RDD for infinitely many and would
 * shuffle both sides, with all their texts; who knows how many there are says so here.
 */
public final class SmallSide {
  /** From this many rows on a shuffle is cheaper than a copy on every executor. */
  private static final long MAX_ROWS = 1_000_000;

  private SmallSide() {}

  /**
   * The rows, to be sent to all executors if they are few.
   *
   * @param count how many rows there are at most
   */
  public static Dataset<Row> of(Dataset<Row> rows, long count) {
    return count <= MAX_ROWS ? broadcast(rows) : rows;
  }
}
