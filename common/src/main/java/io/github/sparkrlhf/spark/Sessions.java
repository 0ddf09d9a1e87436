package io.github.sparkrlhf.spark;

import java.nio.file.Path;
import java.util.Map;
import java.util.TreeMap;
import org.apache.spark.SparkConf;
import org.apache.spark.sql.SparkSession;

/**
 * The one place that opens a SparkSession. What the user configured (spark-submit, {@code
 * spark-defaults.conf}, {@code -Dspark.…}) always wins over the defaults here.
 */
public final class Sessions {
  private static final String CATALOG = "spark.sql.catalog.";
  private static final String OWN_CATALOG = "spark.rlhf.warehouse.";

  private Sessions() {}

  /**
   * The session of this process, opened if there is none yet.
   *
   * @param master the Spark master, or null for what spark-submit gives and else {@code local[*]}
   */
  public static SparkSession open(String master) {
    SparkConf configuration = new SparkConf();
    if (master != null) {
      configuration.setMaster(master);
    }
    configuration.setIfMissing("spark.master", "local[*]");
    configuration.setIfMissing("spark.app.name", "spark-rlhf");
    defaults(configuration.get("spark.master")).forEach(configuration::setIfMissing);
    // Kryo cannot read Java records, which training shuffles and collects.
    configuration.set("spark.serializer", "org.apache.spark.serializer.JavaSerializer");
    return SparkSession.builder().config(configuration).getOrCreate();
  }

  /**
   * A session in which the catalog exists: an Iceberg catalog in the folder {@code warehouse},
   * unless the user configured a catalog of this name. Other sessions of the process keep theirs.
   *
   * @param warehouse the folder, or null for {@code ./warehouse}
   * @throws JobFailure if a warehouse is given for a catalog that the user configured
   */
  public static SparkSession withCatalog(SparkSession session, String catalog, String warehouse) {
    String key = CATALOG + catalog;
    if (session.conf().contains(key) && !session.conf().contains(OWN_CATALOG + catalog)) {
      if (warehouse != null) {
        throw JobFailure.usage(
            "Cannot use --warehouse "
                + warehouse
                + ": catalog '"
                + catalog
                + "' is configured by "
                + key);
      }
      return session;
    }
    String folder = absolute(warehouse == null ? "warehouse" : warehouse);
    if (session.conf().get(OWN_CATALOG + catalog, folder).equals(folder)) {
      return configured(session, catalog, folder);
    }
    // Spark keeps a catalog once it is loaded: another warehouse needs a session of its own.
    return configured(session.newSession(), catalog, folder);
  }

  /** A folder without scheme means the same on the driver and on executors elsewhere. */
  private static String absolute(String folder) {
    return folder.matches("[A-Za-z][A-Za-z0-9+.-]+:.*")
        ? folder
        : Path.of(folder).toAbsolutePath().toString();
  }

  private static SparkSession configured(SparkSession session, String catalog, String folder) {
    session.conf().set(CATALOG + catalog, "org.apache.iceberg.spark.SparkCatalog");
    session.conf().set(CATALOG + catalog + ".type", "hadoop");
    session.conf().set(CATALOG + catalog + ".warehouse", folder);
    session.conf().set(OWN_CATALOG + catalog, folder);
    return session;
  }

  private static Map<String, String> defaults(String master) {
    Map<String, String> defaults = new TreeMap<>();
    defaults.put(
        "spark.sql.extensions",
        "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions,"
            // By name: this package knows nothing of rewards.
            + "io.github.sparkrlhf.reward.RewardExtension");
    defaults.put("spark.sql.session.timeZone", "UTC");
    // glibc's allocator otherwise costs a quarter of the training speed.
    defaults.put("spark.executorEnv.MALLOC_MMAP_THRESHOLD_", "4294967296");
    defaults.put("spark.executorEnv.MALLOC_TRIM_THRESHOLD_", "8589934592");
    defaults.put("spark.executorEnv.MALLOC_TOP_PAD_", "268435456");
    // Every task of a round returns a gradient as long as the model's weights.
    defaults.put("spark.driver.maxResultSize", "0");
    // As one message if Spark's largest allows it; else a gradient takes the way of cached blocks.
    defaults.put("spark.task.maxDirectResultSize", Integer.toString(128 << 20));
    // Weights do not compress; trying costs more than it saves.
    defaults.put("spark.broadcast.compress", "false");
    // Trying four encodings on each value costs several times what a cache of votes saves.
    defaults.put("spark.sql.inMemoryColumnarStorage.compressed", "false");
    // A run of pairs compiles 400 classes; Spark keeps 100 and compiles the same ones again.
    defaults.put("spark.sql.codegen.cache.maxEntries", "2000");
    // Spark keeps the plans of past queries for its UI, up to gigabytes of text.
    defaults.put("spark.sql.maxPlanStringLength", "100000");
    defaults.put("spark.sql.ui.retainedExecutions", "100");
    if (master.startsWith("local")) {
      defaults.put("spark.ui.enabled", "false");
      defaults.put("spark.ui.showConsoleProgress", "false");
      defaults.put(
          "spark.sql.shuffle.partitions",
          Integer.toString(Math.max(4, 2 * Runtime.getRuntime().availableProcessors())));
    }
    return defaults;
  }
}
