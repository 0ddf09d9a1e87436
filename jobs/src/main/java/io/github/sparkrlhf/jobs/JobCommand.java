package io.github.sparkrlhf.jobs;

import io.github.sparkrlhf.spark.JobDescriptions;
import io.github.sparkrlhf.spark.StableHash;
import io.github.sparkrlhf.tables.Json;
import io.github.sparkrlhf.tables.Run;
import io.github.sparkrlhf.tables.Tables;
import java.io.PrintStream;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import java.util.function.Supplier;
import java.util.regex.Pattern;
import org.apache.spark.sql.SparkSession;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParentCommand;
import picocli.CommandLine.Spec;

/**
 * A job: a command whose results stand in tables under a run id. The run is named by what decides
 * its result, is not run again once it is complete, and is visible only then.
 */
@Command(
    mixinStandardHelpOptions = true,
    versionProvider = Main.Version.class,
    sortOptions = false,
    usageHelpAutoWidth = true)
abstract class JobCommand implements Callable<Integer> {
  private static final Pattern SECRET =
      Pattern.compile("password|secret|credential|(access|api|private)-key|(auth|access)-token");
  private static final int ID_DIGITS = 12;

  @Mixin private SessionOptions session;

  @Option(
      names = "--run-id",
      paramLabel = "ID",
      description =
          "Name of the run (default: the job's name and a hash of all options and inputs). A complete run is not run again.")
  private String runId;

  @ParentCommand private Main main;
  @Spec private CommandSpec spec;

  /**
   * Everything in the run's identity besides options: fingerprints of inputs, digests of model
   * directories.
   *
   * @param context without its run, which is not known yet
   */
  protected abstract List<String> inputFingerprints(JobContext context);

  /**
   * The job itself; called only if the run is not complete yet.
   *
   * @return the summary stored with the run
   */
  protected abstract Map<String, Object> execute(JobContext context);

  /**
   * Names (without dashes) of options that do not change the result, such as the directory it is
   * written to; they are no part of the run's identity.
   */
  protected Set<String> optionsOutsideIdentity() {
    return Set.of();
  }

  @Override
  public final Integer call() {
    SparkSession spark = session.openSession();
    Tables tables = session.openTables(spark);
    tables.registerViews();
    PrintStream out = main.out();
    List<String> inputs = inputFingerprints(new JobContext(spark, tables, null, out));
    String configuration = configuration(inputs);
    Run run = tables.begin(spec.name(), effectiveRunId(configuration), configuration);
    if (run.isComplete()) {
      out.println("Run " + run.id() + " is already complete: nothing to do");
      return 0;
    }
    Supplier<Map<String, Object>> work = () -> execute(new JobContext(spark, tables, run, out));
    run.complete(JobDescriptions.described(spark.sparkContext(), spec.name(), work));
    out.println("Run " + run.id() + " is complete");
    return 0;
  }

  private String effectiveRunId(String configuration) {
    if (runId != null) {
      return runId;
    }
    return spec.name() + "-" + StableHash.sha256(configuration).substring(0, ID_DIGITS);
  }

  /** All options that can change the result, given or default, and the inputs, as sorted JSON. */
  private String configuration(List<String> inputs) {
    Map<String, Object> configuration = new TreeMap<>();
    for (OptionSpec option : spec.options()) {
      String name = option.longestName().replaceFirst("^--", "");
      boolean identity =
          !SessionOptions.NAMES.contains(name)
              && !name.equals("run-id")
              && !optionsOutsideIdentity().contains(name)
              && !option.usageHelp()
              && !option.versionHelp();
      if (identity && option.getValue() != null) {
        configuration.put(name, shown(name, option.getValue()));
      }
    }
    configuration.put("inputs", inputs);
    return Json.sorted(configuration);
  }

  private static Object shown(String name, Object value) {
    if (SECRET.matcher(name).find()) {
      return "***";
    }
    boolean plain = value instanceof Number || value instanceof Boolean;
    if (plain) {
      return value;
    }
    if (value instanceof List<?> list) {
      return list.stream().map(String::valueOf).toList();
    }
    return String.valueOf(value);
  }
}
