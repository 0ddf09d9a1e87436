package io.github.sparkrlhf.jobs;

import io.github.sparkrlhf.spark.Sessions;
import io.github.sparkrlhf.tables.Tables;
import java.util.Set;
import org.apache.spark.sql.SparkSession;
import picocli.CommandLine.Option;

/** Where a command runs and where its tables are; none of it changes a result. */
final class SessionOptions {
  /** Names of these options, which are no part of a run's identity. */
  static final Set<String> NAMES = Set.of("warehouse", "catalog", "database", "master");

  @Option(
      names = "--warehouse",
      paramLabel = "DIR",
      description =
          "Folder of the tables, any Hadoop path (default: ./warehouse). Not together with a catalog configured by spark.sql.catalog.<name>.")
  private String warehouse;

  @Option(
      names = "--catalog",
      paramLabel = "NAME",
      defaultValue = "rlhf",
      description = "Name of the Iceberg catalog (default: ${DEFAULT-VALUE}).")
  private String catalog;

  @Option(
      names = "--database",
      paramLabel = "NAME",
      defaultValue = "rlhf",
      description = "Database of the tables in the catalog (default: ${DEFAULT-VALUE}).")
  private String database;

  @Option(
      names = "--master",
      paramLabel = "URL",
      description =
          "Spark master (default: the one given to spark-submit, else local[*]: all cores of this machine).")
  private String master;

  /** Filled by the command line. */
  SessionOptions() {}

  /** Tables in a folder, in the default catalog and database. */
  SessionOptions(String warehouse, String master) {
    this.warehouse = warehouse;
    this.catalog = "rlhf";
    this.database = "rlhf";
    this.master = master;
  }

  SparkSession openSession() {
    return Sessions.withCatalog(Sessions.open(master), catalog, warehouse);
  }

  Tables openTables(SparkSession spark) {
    return Tables.open(spark, catalog, database);
  }
}
