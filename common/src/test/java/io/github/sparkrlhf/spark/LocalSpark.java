package io.github.sparkrlhf.spark;

import org.apache.spark.sql.SparkSession;

/** A Spark session without tables. */
public final class LocalSpark {
  private LocalSpark() {}

  /** The session, opened on first use. */
  public static SparkSession session() {
    return SparkSession.builder()
        .master("local[2]")
        .config("spark.ui.enabled", false)
        .config("spark.sql.shuffle.partitions", 3)
        .getOrCreate();
  }
}
