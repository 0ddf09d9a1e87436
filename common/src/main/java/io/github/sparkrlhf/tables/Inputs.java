package io.github.sparkrlhf.tables;

import io.github.sparkrlhf.spark.Failures;
import io.github.sparkrlhf.spark.JobFailure;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.LocatedFileStatus;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.RemoteIterator;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Encoders;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan;
import org.apache.spark.sql.catalyst.plans.logical.Project;
import org.apache.spark.sql.functions;

/** What users give as input: any Parquet path, or the name of any table that Spark can read. */
public final class Inputs {
  private Inputs() {}

  /**
   * The rows of a Parquet path (a file, a folder or a glob) or of a table. A bare name of one of
   * our tables means its view: the rows of all complete runs, with {@code run_id}.
   *
   * @throws JobFailure usage if there is no such thing, failure if it cannot be read, data quality
   *     if it has no rows
   */
  public static Dataset<Row> read(SparkSession spark, Tables tables, String pathOrTable) {
    try {
      if (isOurs(pathOrTable)) {
        tables.registerViews();
      }
      boolean table = isOurs(pathOrTable) || isTable(spark, pathOrTable);
      Dataset<Row> rows = table ? spark.table(pathOrTable) : parquet(spark, pathOrTable);
      if (rows.isEmpty()) {
        throw JobFailure.dataQuality("Cannot read " + pathOrTable + ": it has no rows");
      }
      return rows;
    } catch (RuntimeException e) {
      throw Failures.known(e).orElseThrow(() -> e);
    }
  }

  /**
   * A Spark SQL expression over the columns of some rows, checked: it must resolve, give one value
   * per row, and give it again when a task is retried.
   *
   * @param option the option that holds it, such as {@code --prompt}, for the message
   * @throws JobFailure naming the option, the expression, and the columns there are
   */
  public static Column expression(Dataset<Row> rows, String option, String sql) {
    String cannot = "Cannot evaluate " + option + " '" + sql + "': ";
    String columns = "; the columns are " + String.join(", ", rows.columns());
    Column column;
    LogicalPlan plan;
    try {
      column = functions.expr(sql);
      plan = rows.select(column).queryExecution().analyzed();
    } catch (Exception e) {
      throw JobFailure.usage(cannot + Failures.sqlMessage(e) + columns);
    }
    // Aggregates, generators and windows put other nodes above or below the projection.
    boolean perRow =
        plan instanceof Project project
            && project.child().equals(rows.queryExecution().analyzed())
            && plan.output().size() == 1;
    if (!perRow) {
      throw JobFailure.usage(cannot + "it must give one value for each row" + columns);
    }
    if (!plan.deterministic()) {
      throw JobFailure.usage(cannot + "it gives another value each time" + columns);
    }
    return column;
  }

  /**
   * Identifies the content of an input without reading it: the complete runs in one of our tables,
   * the snapshot of another Iceberg table, and else name, length and modification time of files.
   *
   * @throws JobFailure if there is no such thing
   */
  public static String fingerprint(SparkSession spark, String pathOrTable) {
    if (isOurs(pathOrTable)) {
      // A complete run never changes, so its name says everything.
      List<String> runs =
          spark
              .table(pathOrTable)
              .select(Table.RUN_ID)
              .distinct()
              .sort(Table.RUN_ID)
              .as(Encoders.STRING())
              .collectAsList();
      return pathOrTable + ":" + String.join(",", runs);
    }
    if (isTable(spark, pathOrTable)) {
      return snapshot(spark, pathOrTable);
    }
    try {
      List<FileStatus> found = glob(spark, pathOrTable);
      if (found.isEmpty()) {
        throw missing(pathOrTable);
      }
      return files(spark, found);
    } catch (IOException e) {
      throw unlistable(pathOrTable, e);
    }
  }

  /** The last part of a path without its ending, or the table's name: what a person calls it. */
  public static String shortName(String pathOrTable) {
    String last = pathOrTable.replaceFirst("/+$", "").replaceFirst(".*/", "");
    return last.endsWith(".parquet") ? last.substring(0, last.length() - 8) : last;
  }

  private static boolean isOurs(String name) {
    return Arrays.stream(Table.values()).anyMatch(table -> table.tableName().equals(name));
  }

  private static boolean isTable(SparkSession spark, String pathOrTable) {
    // Only what can be a table's name is looked up: Spark's parser fails on a path.
    return pathOrTable.matches("\\w+(\\.\\w+)*") && spark.catalog().tableExists(pathOrTable);
  }

  private static Dataset<Row> parquet(SparkSession spark, String path) {
    List<FileStatus> found;
    try {
      found = glob(spark, path);
    } catch (IOException e) {
      throw unlistable(path, e);
    }
    if (found.isEmpty()) {
      throw missing(path);
    }
    try {
      return spark.read().parquet(path);
    } catch (Exception e) {
      throw Failures.known(e).orElseGet(() -> Failures.unreadable(path, e));
    }
  }

  private static List<FileStatus> glob(SparkSession spark, String path) throws IOException {
    Path pattern;
    try {
      pattern = new Path(path);
    } catch (IllegalArgumentException e) {
      return List.of();
    }
    FileSystem files = pattern.getFileSystem(spark.sessionState().newHadoopConf());
    FileStatus[] found = files.globStatus(pattern);
    return found == null ? List.of() : List.of(found);
  }

  private static String files(SparkSession spark, List<FileStatus> roots) throws IOException {
    List<String> files = new ArrayList<>();
    for (FileStatus root : roots) {
      FileSystem system = root.getPath().getFileSystem(spark.sessionState().newHadoopConf());
      RemoteIterator<LocatedFileStatus> below = system.listFiles(root.getPath(), true);
      while (below.hasNext()) {
        FileStatus file = below.next();
        files.add(
            file.getPath().getName() + ":" + file.getLen() + ":" + file.getModificationTime());
      }
    }
    Collections.sort(files);
    return String.join(",", files);
  }

  private static String snapshot(SparkSession spark, String table) {
    // Iceberg finds the refs of a table only by a name with its database.
    String database = spark.catalog().currentCatalog() + "." + spark.catalog().currentDatabase();
    String name = table.contains(".") ? table : database + "." + table;
    List<Row> main;
    try {
      main =
          spark
              .sql("SELECT snapshot_id FROM " + name + ".refs WHERE name = 'main'")
              .collectAsList();
    } catch (Exception e) {
      // Not an Iceberg table: its files identify it just as well.
      String[] files = spark.table(table).inputFiles();
      Arrays.sort(files);
      return table + ":" + String.join(",", files);
    }
    return table + "@" + (main.isEmpty() ? "empty" : main.get(0).getLong(0));
  }

  private static JobFailure missing(String pathOrTable) {
    return JobFailure.usage(
        "Cannot read " + pathOrTable + ": there is no file and no table of this name");
  }

  private static JobFailure unlistable(String path, IOException e) {
    return JobFailure.failure("Cannot read " + path + ": " + Failures.rootMessage(e), e);
  }
}
