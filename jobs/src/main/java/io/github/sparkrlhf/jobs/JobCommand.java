package io.github.sparkrlhf.jobs;

import io.github.sparkrlhf.lm.ModelDirectories;
import io.github.sparkrlhf.spark.JobDescriptions;
import io.github.sparkrlhf.spark.StableHash;
import io.github.sparkrlhf.tables.Json;
import io.github.sparkrlhf.tables.Run;
import io.github.sparkrlhf.tables.Tables;
import java.io.PrintStream;
import java.nio.file.Path;
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
  /** Where the fingerprints of the inputs stand in a configuration. */
  static final String INPUTS = "inputs";

  /** Where the threads of a matrix product stand, if they decide the result. */
  static final String TASK_CPUS = "spark.task.cpus";

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
   * Checks the options, given and default, before anything is opened or read.
   *
   * @throws io.github.sparkrlhf.spark.JobFailure usage, if one is out of range or would be ignored
   */
  protected void validate(Given given) {}

  /**
   * The directories that the job writes and names by options; a complete run that has lost one runs
   * again. Each says in its provenance which run wrote it.
   */
  protected List<Path> outputs() {
    return List.of();
  }

  /** What a complete run wrote outside of the tables and is gone since; then it runs again. */
  protected List<String> lostOutputs(SparkSession spark, Run run) {
    return outputs().stream()
        .filter(output -> !ModelDirectories.isOf(output, run.id()))
        .map(Path::toString)
        .toList();
  }

  /**
   * Whether transformers decide the result: then the number of threads of a matrix product does
   * too, in its last bits.
   */
  protected boolean usesTransformers() {
    return false;
  }

  /**
   * The job itself; called only if the run is not complete yet, or has lost an output.
   *
   * @return the summary stored with the run
   */
  protected abstract Map<String, Object> execute(JobContext context);

  /**
   * Names (without dashes) of options that do not change the result, such as where checkpoints are
   * kept or what this kind of model ignores; they are no part of the run's identity.
   */
  protected Set<String> optionsOutsideIdentity() {
    return Set.of();
  }

  @Override
  public final Integer call() {
    validate(new Given(spec.commandLine().getParseResult()));
    SparkSession spark = session.openSession();
    Tables tables = session.openTables(spark);
    tables.registerViews();
    PrintStream out = main.out();
    List<String> inputs =
        List.copyOf(inputFingerprints(new JobContext(spark, tables, List.of(), null, out)));
    String configuration = configuration(spark, inputs);
    Run run = tables.begin(spec.name(), effectiveRunId(configuration), configuration);
    if (run.isComplete()) {
      List<String> lost = lostOutputs(spark, run);
      if (lost.isEmpty()) {
        out.println("Run " + run.id() + " is already complete: nothing to do");
        return 0;
      }
      out.println("Run " + run.id() + " is complete but has lost " + lost + ": running it again");
    }
    Supplier<Map<String, Object>> work =
        () -> execute(new JobContext(spark, tables, inputs, run, out));
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
  private String configuration(SparkSession spark, List<String> inputs) {
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
    configuration.put(INPUTS, inputs);
    if (usesTransformers()) {
      configuration.put(TASK_CPUS, spark.sparkContext().getConf().getInt(TASK_CPUS, 1));
    }
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
