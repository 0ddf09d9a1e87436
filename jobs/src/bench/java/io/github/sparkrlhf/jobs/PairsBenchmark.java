package io.github.sparkrlhf.jobs;

import io.github.sparkrlhf.feedback.SimulatedCrowd;
import io.github.sparkrlhf.spark.Sessions;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import org.apache.hadoop.fs.FileUtil;
import org.apache.spark.sql.SparkSession;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** Measures the job {@code pairs} against DuckDB doing the same on the same files. */
@Command(
    name = "pairs-benchmark",
    description = "Measures the job pairs against DuckDB on simulated votes.",
    mixinStandardHelpOptions = true)
final class PairsBenchmark implements Callable<Integer> {
  private static final int VOTES_PER_FILE = 625_000;
  private static final long SEED = 1;

  /** Who does the work. */
  enum Engine {
    DUCKDB,
    PAIRS
  }

  @Option(
      names = "--votes",
      split = ",",
      defaultValue = "1000000,10000000",
      description = "Sizes of the logs (default: ${DEFAULT-VALUE}).")
  private List<Long> votes;

  @Option(
      names = "--repeat",
      defaultValue = "1",
      description = "How often each runs, in turns; the median counts (default: ${DEFAULT-VALUE}).")
  private int repeat;

  @Option(
      names = "--engines",
      split = ",",
      defaultValue = "DUCKDB,PAIRS",
      description = "Who runs: ${COMPLETION-CANDIDATES} (default: ${DEFAULT-VALUE}).")
  private List<Engine> engines;

  @Option(
      names = "--work",
      defaultValue = "target/benchmark",
      description =
          "Folder of the logs, which are kept, and of the output (default: ${DEFAULT-VALUE}).")
  private Path work;

  private final List<List<String>> table = new ArrayList<>();

  /** Exit code 1 if the engines came to different counts. */
  public static void main(String[] args) {
    System.exit(
        new CommandLine(new PairsBenchmark())
            .setCaseInsensitiveEnumValuesAllowed(true)
            .execute(args));
  }

  @Override
  public Integer call() throws Exception {
    work = work.toAbsolutePath();
    for (long count : votes) {
      write(count);
    }
    boolean equal = true;
    Map<Engine, Double> before = new TreeMap<>();
    for (long count : votes) {
      Map<Engine, BenchmarkRun> medians = medians(count);
      equal &= sameCounts(count, medians);
      table.add(row(count, medians, before));
      medians.forEach((engine, run) -> before.put(engine, run.seconds()));
    }
    List<String> header =
        List.of("votes", "pairs s", "process s", "DuckDB s", "ratio", "pairs grew", "DuckDB grew");
    List<Boolean> numbers = header.stream().map(name -> true).toList();
    TextTable.lines(header, table, numbers).forEach(System.out::println);
    return equal ? 0 : 1;
  }

  private Path log(long count) {
    return work.resolve("votes-" + count);
  }

  private void write(long count) {
    if (Files.exists(log(count).resolve("_SUCCESS"))) {
      return;
    }
    long start = System.nanoTime();
    try (SparkSession spark = Sessions.open("local[2]")) {
      new SimulatedCrowd(spark, SEED, count)
          .votes()
          .coalesce((int) Math.max(4, count / VOTES_PER_FILE))
          .write()
          .mode("overwrite")
          .option("compression", "zstd")
          .parquet(log(count).toString());
    }
    print("%,d votes written in %.1f s%n", count, (System.nanoTime() - start) / 1e9);
  }

  /** The run of median length of each engine; they take turns. */
  private Map<Engine, BenchmarkRun> medians(long count) throws Exception {
    Map<Engine, List<BenchmarkRun>> runs = new TreeMap<>();
    for (int i = 0; i < repeat; i++) {
      for (Engine engine : engines) {
        BenchmarkRun run = run(engine, count);
        print("%s on %,d votes: %.1f s%n", engine, count, run.seconds());
        run.phases().forEach((name, seconds) -> print("  %-20s %8.1f s%n", name, seconds));
        runs.computeIfAbsent(engine, key -> new ArrayList<>()).add(run);
      }
    }
    Map<Engine, BenchmarkRun> medians = new TreeMap<>();
    runs.forEach(
        (engine, list) -> {
          list.sort(Comparator.comparingDouble(BenchmarkRun::seconds));
          medians.put(engine, list.get(list.size() / 2));
        });
    return medians;
  }

  private BenchmarkRun run(Engine engine, long count) throws Exception {
    Path output = emptied(work.resolve("output"));
    BenchmarkRun run =
        engine == Engine.DUCKDB
            ? DuckDbPairs.run(log(count), output)
            : SparkPairs.run(log(count), output);
    emptied(output);
    return run;
  }

  private static Path emptied(Path folder) throws IOException {
    if (Files.exists(folder) && !FileUtil.fullyDelete(folder.toFile())) {
      throw new IOException("Cannot delete " + folder);
    }
    return Files.createDirectories(folder);
  }

  private static boolean sameCounts(long count, Map<Engine, BenchmarkRun> runs) {
    List<Map<String, Long>> counts = runs.values().stream().map(BenchmarkRun::counts).toList();
    if (counts.stream().distinct().count() == 1) {
      print("Counts on %,d votes: %s%n", count, counts.get(0));
      return true;
    }
    runs.forEach((engine, run) -> print("Counts differ: %s has %s%n", engine, run.counts()));
    return false;
  }

  private static List<String> row(
      long count, Map<Engine, BenchmarkRun> runs, Map<Engine, Double> before) {
    BenchmarkRun pairs = runs.get(Engine.PAIRS);
    BenchmarkRun duckDb = runs.get(Engine.DUCKDB);
    return List.of(
        String.format(Locale.ROOT, "%,d", count),
        pairs == null ? "" : number(pairs.seconds()),
        pairs == null ? "" : number(pairs.processSeconds()),
        duckDb == null ? "" : number(duckDb.seconds()),
        pairs == null || duckDb == null ? "" : number(pairs.seconds() / duckDb.seconds()),
        growth(pairs, before.get(Engine.PAIRS)),
        growth(duckDb, before.get(Engine.DUCKDB)));
  }

  private static String growth(BenchmarkRun run, Double before) {
    return run == null || before == null ? "" : number(run.seconds() / before);
  }

  private static String number(double value) {
    return String.format(Locale.ROOT, "%.1f", value);
  }

  private static void print(String format, Object... values) {
    System.out.printf(Locale.ROOT, format, values);
  }
}
