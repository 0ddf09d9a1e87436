package io.github.sparkrlhf.jobs;

import io.github.sparkrlhf.feedback.SimulatedLog;
import io.github.sparkrlhf.tables.Tables;
import java.io.PrintStream;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
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
      defaultValue = "40",
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
    SessionOptions session = new SessionOptions(warehouse(), master);
    SparkSession spark = session.openSession();
    Tables tables = session.openTables(spark);
    SimulatedLog log = new SimulatedLog(spark, seed, events);
    writeLog(log);
    for (List<String> step : steps()) {
      main.out().println();
      main.out().println("$ spark-rlhf " + String.join(" ", step));
      List<String> arguments = new ArrayList<>(step);
      arguments.addAll(List.of("--warehouse", warehouse()));
      int exitCode = Main.run(main.out(), main.err(), arguments.toArray(String[]::new));
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
  }

  /** Writes once: the log is a function of the seed, and rewriting it would change its files. */
  private void write(Dataset<Row> rows, String name) {
    rows.coalesce(1).write().mode(SaveMode.Ignore).parquet(path(name));
  }

  private List<List<String>> steps() {
    String seedText = Long.toString(seed);
    return List.of(
        List.of(
            "pairs",
            "--input",
            path("log"),
            "--id",
            "event_id",
            "--annotator",
            "annotator",
            "--run-id",
            "pairs"),
        List.of(
            "tokenizer",
            "--input",
            path("demonstrations"),
            "--text",
            "prompt",
            "--text",
            "response",
            "--vocabulary-size",
            "768",
            "--output",
            path("tokenizer")),
        List.of(
            "sft",
            "--input",
            path("demonstrations"),
            "--prompt",
            "prompt",
            "--tokenizer",
            path("tokenizer"),
            "--hidden-size",
            "96",
            "--layers",
            "3",
            "--heads",
            "4",
            "--max-length",
            "96",
            "--epochs",
            "3",
            "--learning-rate",
            "3e-3",
            "--micro-batch",
            "24",
            "--seed",
            seedText,
            "--output",
            path("sft")),
        List.of(
            "reward",
            "--pairs-run",
            "pairs",
            "--kind",
            "bradley-terry",
            "--regularization",
            "1e-3",
            "--output",
            path("bradley-terry")),
        List.of(
            "reward",
            "--pairs-run",
            "pairs",
            "--kind",
            "transformer",
            "--model",
            path("sft"),
            "--epochs",
            "2",
            "--learning-rate",
            "1e-3",
            "--micro-batch",
            "16",
            "--seed",
            seedText,
            "--output",
            path("transformer")),
        List.of(
            "score",
            "--input",
            path("demonstrations"),
            "--id",
            "demonstration_id",
            "--model",
            path("bradley-terry")),
        List.of(
            "score",
            "--input",
            path("demonstrations"),
            "--id",
            "demonstration_id",
            "--model",
            path("transformer")),
        List.of(
            "ppo",
            "--prompts",
            path("prompts"),
            "--prompt-id",
            "prompt_id",
            "--policy",
            path("sft"),
            "--reward",
            path("transformer"),
            "--iterations",
            Integer.toString(iterations),
            "--max-new-tokens",
            "40",
            "--learning-rate",
            "1e-3",
            "--critic-learning-rate",
            "2e-3",
            "--kl-coefficient",
            "0.05",
            "--seed",
            seedText,
            "--run-id",
            "ppo",
            "--output",
            path("ppo")));
  }

  private String path(String name) {
    return directory.resolve(name).toString();
  }

  private String warehouse() {
    return path("warehouse");
  }
}
