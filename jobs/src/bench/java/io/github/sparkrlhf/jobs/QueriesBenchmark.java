package io.github.sparkrlhf.jobs;

import io.github.sparkrlhf.spark.Sessions;
import io.github.sparkrlhf.tables.Tables;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import java.util.stream.Stream;
import org.apache.spark.sql.SparkSession;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/**
 * Seconds of each query in conf/sql on the tables of a warehouse, as somebody waits for them in an
 * open session: the first time, when Spark has to compile it, and the median of later ones; beside
 * them what counting the rows of {@code runs} takes, which no query can do without.
 */
@Command(
    name = "queries-benchmark",
    description = "Times the queries in conf/sql.",
    mixinStandardHelpOptions = true)
final class QueriesBenchmark implements Callable<Integer> {
  private static final Path FOLDER = Path.of("conf", "sql");
  private static final String BASELINE = "SELECT count(*) FROM runs";

  @Option(names = "--warehouse", required = true, description = "Where the tables are.")
  private Path warehouse;

  @Option(names = "--repeat", defaultValue = "5", description = "Times that each is run again.")
  private int repeat;

  private SparkSession spark;

  public static void main(String[] arguments) {
    System.exit(new CommandLine(new QueriesBenchmark()).execute(arguments));
  }

  @Override
  public Integer call() throws IOException {
    spark = Sessions.withCatalog(Sessions.open("local[2]"), "rlhf", warehouse.toString());
    Tables.open(spark, "rlhf", "rlhf").registerViews();
    SqlJob.statements(Files.readString(FOLDER.resolve("views.sql"))).forEach(spark::sql);
    // The session's own start is not the first query's fault.
    seconds(BASELINE);
    double baseline = median(BASELINE);
    System.out.printf(Locale.ROOT, "%n%-42s   first  median  of count(*) of runs%n", "seconds");
    double slowest = 0;
    for (Path query : queries()) {
      String statement = SqlJob.statements(Files.readString(query)).get(0);
      double first = seconds(statement);
      double median = median(statement);
      slowest = Math.max(slowest, first);
      System.out.printf(
          Locale.ROOT,
          "%-42s  %6.2f  %6.2f  %6.1f%n",
          query.getFileName(),
          first,
          median,
          median / baseline);
    }
    System.out.printf(Locale.ROOT, "slowest first run: %.2f s%n", slowest);
    return 0;
  }

  private static List<Path> queries() throws IOException {
    try (Stream<Path> files = Files.list(FOLDER.resolve("queries"))) {
      return files.sorted().toList();
    }
  }

  private double median(String statement) {
    List<Double> all = new ArrayList<>();
    for (int i = 0; i < repeat; i++) {
      all.add(seconds(statement));
    }
    Collections.sort(all);
    return all.get(all.size() / 2);
  }

  private double seconds(String statement) {
    long start = System.nanoTime();
    spark.sql(statement).collectAsList();
    return (System.nanoTime() - start) / 1e9;
  }
}
