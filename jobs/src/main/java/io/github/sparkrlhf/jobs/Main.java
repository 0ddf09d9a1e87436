package io.github.sparkrlhf.jobs;

import java.io.PrintStream;
import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import org.apache.spark.sql.SparkSession;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.HelpCommand;

/** The command line: {@code spark-rlhf <job> [options]}. */
@Command(
    name = "spark-rlhf",
    description = "RLHF as Apache Spark batch jobs.",
    mixinStandardHelpOptions = true,
    versionProvider = Main.Version.class,
    usageHelpAutoWidth = true,
    footer = {
      "",
      "Options can be read from a file: spark-rlhf pairs @conf/pairs.args",
      "Exit codes: 0 done, 1 failure, 2 usage, 3 data quality."
    },
    subcommands = {
      HelpCommand.class,
      QuickstartJob.class,
      PairsJob.class,
      ExportJob.class,
      ForgetJob.class,
      TokenizerJob.class,
      SftJob.class,
      RewardJob.class,
      ExplainJob.class,
      CrossvalidateJob.class,
      RolloutJob.class,
      ScoreJob.class,
      AdvantagesJob.class,
      PpoJob.class,
      ReplayJob.class,
      DpoJob.class,
      EvaluateJob.class,
      ReportJob.class,
      SqlJob.class
    })
public final class Main implements Runnable {
  private final PrintStream out;
  private final PrintStream err;
  private CommandLine command;

  private Main(PrintStream out, PrintStream err) {
    this.out = out;
    this.err = err;
  }

  /** Runs a job and ends the process with its exit code. */
  public static void main(String[] args) {
    int exitCode = run(args);
    if (!SparkSession.getDefaultSession().isEmpty()) {
      SparkSession.getDefaultSession().get().stop();
    }
    System.exit(exitCode);
  }

  /** Runs a job in this process, in the session it has if it has one; returns the exit code. */
  public static int run(String... args) {
    return run(System.out, System.err, args);
  }

  /** {@link #run(String...)} with other streams. */
  public static int run(PrintStream out, PrintStream err, String... args) {
    return commandLine(out, err).execute(args);
  }

  @Override
  public void run() {
    throw new CommandLine.ParameterException(command, "Missing the name of a job");
  }

  PrintStream out() {
    return out;
  }

  PrintStream err() {
    return err;
  }

  /** The command line as it is read, with all jobs. */
  static CommandLine commandLine(PrintStream out, PrintStream err) {
    Main main = new Main(out, err);
    ExitCodes exitCodes = new ExitCodes();
    main.command =
        new CommandLine(main)
            .setOut(new PrintWriter(out, true, StandardCharsets.UTF_8))
            .setErr(new PrintWriter(err, true, StandardCharsets.UTF_8))
            .setOverwrittenOptionsAllowed(true)
            .setExecutionExceptionHandler(exitCodes)
            .setParameterExceptionHandler(exitCodes);
    return main.command;
  }

  /** The version in the jar's manifest. */
  static final class Version implements CommandLine.IVersionProvider {
    @Override
    public String[] getVersion() {
      String version = Main.class.getPackage().getImplementationVersion();
      return new String[] {"spark-rlhf " + (version == null ? "development" : version)};
    }
  }
}
