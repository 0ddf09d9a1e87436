package io.github.sparkrlhf.jobs;

import io.github.sparkrlhf.feedback.Curation;
import io.github.sparkrlhf.feedback.Feedback;
import io.github.sparkrlhf.feedback.Feedback.ReasonCount;
import io.github.sparkrlhf.feedback.ReliabilityMethod;
import io.github.sparkrlhf.feedback.Splits;
import io.github.sparkrlhf.spark.JobFailure;
import io.github.sparkrlhf.spark.Phases;
import io.github.sparkrlhf.tables.Inputs;
import io.github.sparkrlhf.tables.Run;
import io.github.sparkrlhf.tables.Table;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Turns logs of feedback into comparisons and pairs, and into what is known of both. */
@Command(
    name = "pairs",
    description = {
      "Turns logs of what people said about responses into the tables comparisons (one row per vote), pairs (one row per pair), ratings, annotators, agreement, bias_audit, splits, duplicates, feedback_metrics, and quarantine (rows that cannot be used, with the reason).",
      "Each EXPRESSION is Spark SQL over the columns of the input."
    })
final class PairsJob extends JobCommand {
  @Option(
      names = "--input",
      required = true,
      paramLabel = "PATH|TABLE",
      description = "A Parquet path (file, folder, glob) or a table name; may be repeated.")
  private List<String> inputs;

  @Mixin private FeedbackOptions feedbackOptions;

  @Option(
      names = "--split-shares",
      paramLabel = "SHARES",
      defaultValue = "0.8,0.1,0.1",
      description =
          "Shares of the groups in train, validation and test (default: ${DEFAULT-VALUE}).")
  private String splitShares;

  @Option(
      names = "--seed",
      paramLabel = "NUMBER",
      defaultValue = "0",
      description = "Another seed deals the groups into splits anew (default: ${DEFAULT-VALUE}).")
  private long seed;

  @Option(
      names = "--max-quarantine-share",
      paramLabel = "SHARE",
      defaultValue = "0.05",
      description =
          "Fail with exit code 3 if a greater share of rows, 0 to 1, cannot be used (default: ${DEFAULT-VALUE}).")
  private double maxQuarantineShare;

  @Option(
      names = "--near-duplicates",
      paramLabel = "SIMILARITY",
      defaultValue = "0.8",
      description =
          "Jaccard similarity of their runs of five characters, 0 to 1, from which two prompts lie in one split; 0 looks only for prompts that are the same but for case and punctuation (default: ${DEFAULT-VALUE}).")
  private double nearDuplicates;

  @Option(
      names = "--reliability",
      paramLabel = "METHOD",
      defaultValue = "dawid-skene",
      description =
          "What the votes on a pair come to: dawid-skene (votes count by what is known of who gave them), crowd-bt (a response has one score in all its pairs) or votes (each counts the same) (default: ${DEFAULT-VALUE}).")
  private ReliabilityMethod reliability;

  @Option(
      names = "--base",
      paramLabel = "ID",
      description =
          "A complete run with the same options over what the input was earlier: only new files, or rows appended to an Iceberg table, are read (default: all are). The result is the same.")
  private String base;

  /** The job with the options that a run had. */
  static PairsJob of(Map<String, Object> configuration) {
    List<String> options = new ArrayList<>();
    configuration.forEach(
        (name, value) -> {
          List<?> values = value instanceof List<?> list ? list : List.of(value);
          if (!name.equals(JobCommand.INPUTS)) {
            values.forEach(each -> options.add("--" + name + "=" + each));
          }
        });
    return CommandLine.populateCommand(new PairsJob(), options.toArray(String[]::new));
  }

  @Override
  protected void validate(Given given) {
    Given.requireShare("max-quarantine-share", maxQuarantineShare);
    Given.requireShare("near-duplicates", nearDuplicates);
    // An option that does not fit the layout is an error before anything is opened.
    feedbackOptions.format();
  }

  @Override
  protected List<String> inputFingerprints(JobContext context) {
    return inputs.stream().map(input -> Inputs.fingerprint(context.spark(), input)).toList();
  }

  @Override
  protected Set<String> optionsOutsideIdentity() {
    // It saves work and changes nothing.
    return Set.of("base");
  }

  @Override
  protected Map<String, Object> execute(JobContext context) {
    Phases phases = phases(context);
    try (Feedback feedback = phases.run("read", () -> feedback(context))) {
      List<ReasonCount> reasons = feedback.quarantineCounts();
      requireQuality(feedback.rows(), reasons);
      return curate(context, context.run(), feedback, reasons);
    }
  }

  /** Writes all tables of a run; returns its summary. */
  Map<String, Object> curate(
      JobContext context, Run run, Feedback feedback, List<ReasonCount> reasons) {
    Splits splits = Splits.parse(splitShares, seed);
    Phases phases = phases(context);
    phases.run("quarantine", () -> run.write(Table.QUARANTINE, feedback.quarantine()));
    new Curation(splits, nearDuplicates, reliability).write(feedback.material(), run, phases);
    PairsSummary summary = PairsSummary.of(run, feedback.rows(), reasons);
    summary.print(context.out());
    return summary.toMap();
  }

  private static Phases phases(JobContext context) {
    return new Phases(context.spark().sparkContext(), context.out());
  }

  private Feedback feedback(JobContext context) {
    return (base == null ? Optional.<Feedback>empty() : continued(context))
        .orElseGet(() -> whole(context));
  }

  private Feedback whole(JobContext context) {
    Feedback.Builder builder = builder();
    for (String input : inputs) {
      Dataset<Row> log = Inputs.read(context.spark(), context.tables(), input);
      builder.add(log, Inputs.shortName(input));
    }
    return builder.check();
  }

  /** Only what is new, if that can be told apart from what the earlier run has. */
  private Optional<Feedback> continued(JobContext context) {
    EarlierRun earlier = new EarlierRun(context, base);
    Feedback.Builder builder = builder().continuing(earlier.rows());
    boolean anything = false;
    for (int i = 0; i < inputs.size(); i++) {
      Optional<Dataset<Row>> added = earlier.since(i, inputs.get(i));
      if (added.isPresent()) {
        builder.add(added.get(), Inputs.shortName(inputs.get(i)));
        anything = true;
      }
    }
    if (!anything) {
      return Optional.empty();
    }
    Feedback feedback = builder.check();
    if (!feedback.repeatsEarlier()) {
      return Optional.of(feedback);
    }
    feedback.close();
    context.out().println("  Run " + base + " has some of the new ids: reading all rows again");
    return Optional.empty();
  }

  Feedback.Builder builder() {
    return new Feedback.Builder(feedbackOptions.format(), feedbackOptions.pairing());
  }

  private void requireQuality(long rows, List<ReasonCount> reasons) {
    long quarantined = reasons.stream().mapToLong(ReasonCount::rows).sum();
    boolean tooMany = quarantined > maxQuarantineShare * rows;
    if (!tooMany && quarantined < rows) {
      return;
    }
    String counts = reasons.stream().map(PairsJob::withExample).collect(Collectors.joining(", "));
    String limit =
        tooMany ? "more than --max-quarantine-share " + maxQuarantineShare : "no row is left";
    throw JobFailure.dataQuality(
        String.format(
            Locale.ROOT,
            "Cannot use the feedback: %d of %d rows (%.1f %%) would be quarantined, %s: %s",
            quarantined,
            rows,
            100.0 * quarantined / rows,
            limit,
            counts));
  }

  private static String withExample(ReasonCount count) {
    String detail = count.detail() == null ? "" : ": '" + count.detail() + "'";
    return count.reason() + " " + count.rows() + " (row " + count.example() + detail + ")";
  }
}
