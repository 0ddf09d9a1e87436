package io.github.sparkrlhf.jobs;

import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.from_json;

import java.io.IOException;
import java.io.PrintStream;
import java.lang.ProcessBuilder.Redirect;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.StructType;

/** The job {@code pairs} as its user starts it: in a JVM of its own, with a heap of 4 GiB. */
final class SparkPairs {
  private static final String MASTER = "local[2]";
  private static final Pattern PHASE = Pattern.compile("  phase (.+): ([0-9.]+) s");
  private static final Pattern COUNT = Pattern.compile("  count (.+): ([0-9]+)");
  private static final Pattern SECONDS = Pattern.compile("  job: ([0-9.]+) s");

  private SparkPairs() {}

  /**
   * Runs the job on the log.
   *
   * @param log a folder of Parquet files
   * @param output an empty folder: for the warehouse and what the process prints
   * @throws IllegalStateException if the job fails
   */
  static BenchmarkRun run(Path log, Path output) throws IOException, InterruptedException {
    List<String> command = new ArrayList<>(List.of(java(), "-Xmx4g"));
    // Spark's --add-opens, which this process was started with itself.
    ManagementFactory.getRuntimeMXBean().getInputArguments().stream()
        .filter(argument -> argument.startsWith("--add-opens"))
        .forEach(command::add);
    command.addAll(List.of("-cp", System.getProperty("java.class.path")));
    command.addAll(List.of(SparkPairs.class.getName(), log.toString(), output.toString()));
    Path errors = output.resolve("stderr.txt");
    long start = System.nanoTime();
    Process process =
        new ProcessBuilder(command).redirectError(Redirect.to(errors.toFile())).start();
    List<String> lines =
        process.inputReader(StandardCharsets.UTF_8).lines().peek(System.out::println).toList();
    int exitCode = process.waitFor();
    double processSeconds = (System.nanoTime() - start) / 1e9;
    if (exitCode != 0) {
      throw new IllegalStateException("pairs ended with " + exitCode + "; see " + errors);
    }
    return parsed(lines, processSeconds);
  }

  private static String java() {
    return Path.of(System.getProperty("java.home"), "bin", "java").toString();
  }

  private static BenchmarkRun parsed(List<String> lines, double processSeconds) {
    Map<String, Double> phases = new LinkedHashMap<>();
    Map<String, Long> counts = new TreeMap<>();
    double seconds = Double.NaN;
    for (String line : lines) {
      Matcher phase = PHASE.matcher(line);
      Matcher count = COUNT.matcher(line);
      Matcher job = SECONDS.matcher(line);
      if (phase.matches()) {
        phases.merge(phase.group(1), Double.valueOf(phase.group(2)), Double::sum);
      } else if (count.matches()) {
        counts.put(count.group(1), Long.valueOf(count.group(2)));
      } else if (job.matches()) {
        seconds = Double.parseDouble(job.group(1));
      }
    }
    return new BenchmarkRun(seconds, processSeconds, phases, counts);
  }

  /** The process: runs the job, prints how long it took, and then what it came to. */
  public static void main(String[] args) {
    String warehouse = args[1] + "/warehouse";
    long start = System.nanoTime();
    int exitCode =
        Main.run(
            "pairs",
            "--input",
            args[0],
            "--id",
            "vote_id",
            "--group",
            "conversation_id",
            "--warehouse",
            warehouse,
            "--master",
            MASTER);
    System.out.printf(Locale.ROOT, "  job: %.1f s%n", (System.nanoTime() - start) / 1e9);
    if (exitCode == 0) {
      printCounts(warehouse, System.out);
    }
    System.exit(exitCode);
  }

  private static void printCounts(String warehouse, PrintStream out) {
    SessionOptions options = new SessionOptions(warehouse, MASTER);
    SparkSession spark = options.openSession();
    options.openTables(spark).registerViews();
    StructType summary =
        StructType.fromDDL(
            "comparisons BIGINT, pairs BIGINT, quarantine_reasons MAP<STRING, BIGINT>");
    Row counts =
        spark
            .table("runs")
            .select(from_json(col("summary"), summary).as("summary"))
            .select("summary.*")
            .first();
    out.println("  count comparisons: " + counts.getLong(0));
    out.println("  count pairs: " + counts.getLong(1));
    counts
        .<String, Long>getJavaMap(2)
        .forEach((reason, rows) -> out.println("  count quarantine " + reason + ": " + rows));
  }
}
