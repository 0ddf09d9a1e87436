package io.github.sparkrlhf.spark;

import java.nio.file.Path;
import org.apache.spark.sql.SparkSession;

/** The one Spark session of a test process: {@code local[2]}, small shuffles, no UI. */
public final class SparkTestSession {
  private SparkTestSession() {}

  /** The session, opened on first use. */
  public static synchronized SparkSession get() {
    SparkSession session = Sessions.open("local[2]");
    session.conf().set("spark.sql.shuffle.partitions", "2");
    return session;
  }

  /** A session of the same Spark whose catalog {@code rlhf} lies in the folder. */
  public static SparkSession withWarehouse(Path warehouse) {
    SparkSession session = get().newSession();
    session.conf().set("spark.sql.shuffle.partitions", "2");
    return Sessions.withCatalog(session, "rlhf", warehouse.toString());
  }
}
