package io.github.sparkrlhf.spark;

import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.storage.StorageLevel;

/**
 * Rows in Spark's cache behind a plan of a single node. A query on a dataset that is cached in the
 * usual way carries the whole plan that made it, which Spark analyses and prints again and again;
 * with caches on top of caches that takes longer than small data itself. Lost rows are computed
 * again all the same.
 */
public final class Cached implements AutoCloseable {
  private final Dataset<Row> source;
  private final Dataset<Row> rows;

  /**
   * Caches rows when they are first read. Each reading decodes all their columns: this is for few
   * rows, or few columns.
   */
  public Cached(Dataset<Row> rows) {
    this.source = rows.persist(StorageLevel.MEMORY_AND_DISK());
    this.rows = rows.sparkSession().createDataFrame(source.javaRDD(), source.schema());
  }

  /** The rows, valid until {@link #close}. */
  public Dataset<Row> rows() {
    return rows;
  }

  @Override
  public void close() {
    source.unpersist();
  }
}
