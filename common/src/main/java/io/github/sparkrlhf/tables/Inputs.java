package io.github.sparkrlhf.tables;

import io.github.sparkrlhf.spark.Failures;
import io.github.sparkrlhf.spark.JobFailure;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.LocatedFileStatus;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.RemoteIterator;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.DataFrameReader;
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

  /**
   * The rows that an input has got since it had an earlier fingerprint: those of new files, or
   * those appended to an Iceberg table.
   *
   * @param earlier what {@link #fingerprint} gave then
   * @return empty if there are none
   * @throws JobFailure usage, if what was there then has changed or is gone
   */
  public static Optional<Dataset<Row>> since(
      SparkSession spark, String pathOrTable, String earlier) {
    if (isOurs(pathOrTable) || isTable(spark, pathOrTable)) {
      return appended(spark, pathOrTable, earlier);
    }
    List<FileStatus> roots;
    List<FileStatus> files;
    try {
      roots = glob(spark, pathOrTable);
      files = below(spark, roots);
    } catch (IOException e) {
      throw unlistable(pathOrTable, e);
    }
    Set<String> known = new TreeSet<>(List.of(earlier.split(",")));
    Set<String> present = files.stream().map(Inputs::identity).collect(Collectors.toSet());
    if (!present.containsAll(known)) {
      known.removeAll(present);
      throw changed(pathOrTable, String.join(", ", known) + " has changed or is gone");
    }
    String[] added =
        files.stream()
            .filter(file -> !known.contains(identity(file)))
            .map(file -> file.getPath().toString())
            .sorted()
            .toArray(String[]::new);
    if (added.length == 0) {
      return Optional.empty();
    }
    // Folders such as day=1 below it are columns, as they are when the whole folder is read.
    boolean folder = roots.size() == 1 && roots.get(0).isDirectory();
    DataFrameReader reader =
        folder ? spark.read().option("basePath", roots.get(0).getPath().toString()) : spark.read();
    return Optional.of(reader.parquet(added));
  }

  private static Optional<Dataset<Row>> appended(SparkSession spark, String table, String earlier) {
    String now = fingerprint(spark, table);
    if (now.equals(earlier)) {
      return Optional.empty();
    }
    String prefix = table + "@";
    if (!now.matches(Pattern.quote(prefix) + "\\d+") || !earlier.startsWith(prefix)) {
      throw changed(table, "only files and Iceberg tables say what is new");
    }
    String start = earlier.substring(prefix.length());
    String end = now.substring(prefix.length());
    if (start.equals("empty")) {
      return Optional.of(spark.table(table));
    }
    requireAppends(spark, table, Long.parseLong(start), Long.parseLong(end));
    return Optional.of(
        spark
            .read()
            .format("iceberg")
            .option("start-snapshot-id", start)
            .option("end-snapshot-id", end)
            .load(qualified(spark, table)));
  }

  private static void requireAppends(SparkSession spark, String table, long start, long end) {
    Map<Long, Row> snapshots = new TreeMap<>();
    spark
        .sql(
            "SELECT snapshot_id, parent_id, operation FROM "
                + qualified(spark, table)
                + ".snapshots")
        .collectAsList()
        .forEach(row -> snapshots.put(row.getLong(0), row));
    for (long at = end; at != start; at = snapshots.get(at).getLong(1)) {
      Row snapshot = snapshots.get(at);
      if (snapshot == null || snapshot.isNullAt(1)) {
        throw changed(table, "snapshot " + start + " is gone");
      }
      if (!snapshot.getString(2).equals("append")) {
        throw changed(table, "rows were not only added but also changed or removed");
      }
    }
  }

  private static JobFailure changed(String pathOrTable, String why) {
    return JobFailure.usage(
        "Cannot read only what is new in " + pathOrTable + ": " + why + "; leave out --base");
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
    return below(spark, roots).stream()
        .map(Inputs::identity)
        .sorted()
        .collect(Collectors.joining(","));
  }

  private static List<FileStatus> below(SparkSession spark, List<FileStatus> roots)
      throws IOException {
    List<FileStatus> files = new ArrayList<>();
    for (FileStatus root : roots) {
      FileSystem system = root.getPath().getFileSystem(spark.sessionState().newHadoopConf());
      RemoteIterator<LocatedFileStatus> below = system.listFiles(root.getPath(), true);
      while (below.hasNext()) {
        FileStatus file = below.next();
        // Markers of a finished write and checksums hold no rows, as Spark sees it.
        if (!file.getPath().getName().matches("[_.].*")) {
          files.add(file);
        }
      }
    }
    return files;
  }

  private static String identity(FileStatus file) {
    return file.getPath().getName() + ":" + file.getLen() + ":" + file.getModificationTime();
  }

  private static String snapshot(SparkSession spark, String table) {
    String name = qualified(spark, table);
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

  /** Iceberg finds what a table is made of only by a name with its database. */
  private static String qualified(SparkSession spark, String table) {
    String database = spark.catalog().currentCatalog() + "." + spark.catalog().currentDatabase();
    return table.contains(".") ? table : database + "." + table;
  }

  private static JobFailure missing(String pathOrTable) {
    return JobFailure.usage(
        "Cannot read " + pathOrTable + ": there is no file and no table of this name");
  }

  private static JobFailure unlistable(String path, IOException e) {
    return JobFailure.failure("Cannot read " + path + ": " + Failures.rootMessage(e), e);
  }
}
