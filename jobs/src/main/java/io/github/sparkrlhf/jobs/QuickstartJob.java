package io.github.sparkrlhf.jobs;

import io.github.sparkrlhf.feedback.SimulatedLog;
import io.github.sparkrlhf.spark.JobFailure;
import io.github.sparkrlhf.tables.Json;
import io.github.sparkrlhf.tables.Tables;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SaveMode;
import org.apache.spark.sql.SparkSession;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParentCommand;

/** The whole chain on a log that it makes up. */
@Command(
    name = "quickstart",
    mixinStandardHelpOptions = true,
    usageHelpAutoWidth = true,
    sortOptions = false,
    description = {
      "Makes a preference log whose truth is known, and runs the whole chain on it: pairs, tokenizer, sft, reward (both kinds), score, ppo. Takes some minutes on two cores.",
      "Every step is a job of this program; its command line is printed, so that it can be tried with other options."
    })
final class QuickstartJob implements Callable<Integer> {
  private static final int DEMONSTRATIONS = 6_000;

  @Option(
      names = "--dir",
      paramLabel = "DIR",
      defaultValue = "quickstart",
      description =
          "Directory for the log, the tables and the models (default: ${DEFAULT-VALUE}). Steps that are complete there are not run again.")
  private Path directory;

  @Option(
      names = "--events",
      paramLabel = "ROWS",
      defaultValue = "20000",
      description = "Rows of the log (default: ${DEFAULT-VALUE}).")
  private int events;

  @Option(
      names = "--iterations",
      paramLabel = "N",
      defaultValue = "25",
      description = "Iterations of PPO (default: ${DEFAULT-VALUE}).")
  private int iterations;

  @Option(
      names = "--seed",
      paramLabel = "NUMBER",
      defaultValue = "1",
      description = "Seed of everything random (default: ${DEFAULT-VALUE}).")
  private long seed;

  @Option(
      names = "--master",
      paramLabel = "URL",
      description =
          "Spark master (default: the one given to spark-submit, else local[*]: all cores of this machine).")
  private String master;

  @ParentCommand private Main main;

  @Override
  public Integer call() {
    long startedNanos = System.nanoTime();
    requireSameOptions();
    SessionOptions session = new SessionOptions(warehouse(), master);
    SparkSession spark = session.openSession();
    Tables tables = session.openTables(spark);
    SimulatedLog log = new SimulatedLog(spark, seed, events);
    writeLog(log);
    for (String step : steps()) {
      String[] arguments = arguments(step);
      main.out().println();
      main.out().println("$ spark-rlhf " + String.join(" ", arguments));
      int exitCode = Main.run(main.out(), main.err(), arguments);
      if (exitCode != 0) {
        return exitCode;
      }
    }
    tables.registerViews();
    double minutes = (System.nanoTime() - startedNanos) / 60e9;
    new QuickstartSummary(spark, log, directory, iterations).print(main.out(), minutes);
    return 0;
  }

  private void writeLog(SimulatedLog log) {
    PrintStream out = main.out();
    out.println("Writing a preference log of " + events + " events to " + path("log"));
    write(log.events(), "log");
    write(log.demonstrations(DEMONSTRATIONS), "demonstrations");
    write(log.prompts(), "prompts");
    write(log.truth(), "truth");
  }

  /** Writes once: the rows are a function of the options, and new files would be a new input. */
  private void write(Dataset<Row> rows, String name) {
    if (!Files.exists(directory.resolve(name).resolve("_SUCCESS"))) {
      rows.coalesce(1).write().mode(SaveMode.Overwrite).parquet(path(name));
    }
  }

  /** Steps of another log or length would not fit to those that are complete. */
  private void requireSameOptions() {
    String options = Json.sorted(Map.of("events", events, "iterations", iterations, "seed", seed));
    Path stamp = directory.resolve("quickstart.json");
    try {
      Files.createDirectories(directory);
      if (!Files.exists(stamp)) {
        Files.writeString(stamp, options + "\n");
      } else if (!Files.readString(stamp).strip().equals(options)) {
        throw JobFailure.usage(
            "Cannot use %s: it was made with %s; choose another --dir"
                .formatted(directory, Files.readString(stamp).strip()));
      }
    } catch (IOException e) {
      throw JobFailure.failure("Cannot write " + stamp + ": " + e, e);
    }
  }

  /** The chain, one command line per step; {name} is a path below the directory. */
  private List<String> steps() {
    String random = " --seed " + seed;
    return List.of(
        "pairs --input {log} --id event_id --annotator annotator --run-id pairs",
        "tokenizer --input {demonstrations} --text prompt --text response --vocabulary-size 768"
            + " --output {tokenizer}",
        "sft --input {demonstrations} --prompt prompt --tokenizer {tokenizer} --hidden-size 96"
            + " --layers 3 --heads 4 --max-length 96 --epochs 3 --learning-rate 3e-3"
            + " --micro-batch 24 --output {sft}"
            + random,
        "reward --pairs-run pairs --kind bradley-terry --output {bradley-terry}",
        "reward --pairs-run pairs --kind transformer --model {sft} --epochs 4"
            + " --learning-rate 2e-3 --micro-batch 8 --output {transformer}"
            + random,
        "score --input {demonstrations} --id demonstration_id --model {bradley-terry}",
        "score --input {demonstrations} --id demonstration_id --model {transformer}",
        "ppo --prompts {prompts} --prompt-id prompt_id --policy {sft} --reward"
            + " {bradley-terry}"
            + " --max-new-tokens 40 --learning-rate 5e-4 --critic-learning-rate 1e-3"
            + " --kl-coefficient 0.1 --run-id ppo --output {ppo} --iterations "
            + iterations
            + random);
  }

  private String[] arguments(String step) {
    List<String> arguments = new ArrayList<>();
    for (String word : step.split(" ", -1)) {
      boolean named = word.startsWith("{");
      arguments.add(named ? path(word.substring(1, word.length() - 1)) : word);
    }
    arguments.addAll(List.of("--warehouse", warehouse()));
    return arguments.toArray(String[]::new);
  }

  private String path(String name) {
    return directory.resolve(name).toString();
  }

  private String warehouse() {
    return path("warehouse");
  }
}
