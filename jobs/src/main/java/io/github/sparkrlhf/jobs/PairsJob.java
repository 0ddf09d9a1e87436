package io.github.sparkrlhf.jobs;

import static org.apache.spark.sql.functions.coalesce;
import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.count;
import static org.apache.spark.sql.functions.countDistinct;
import static org.apache.spark.sql.functions.lit;
import static org.apache.spark.sql.functions.sum;

import io.github.sparkrlhf.feedback.Feedback;
import io.github.sparkrlhf.feedback.Feedback.ReasonCount;
import io.github.sparkrlhf.feedback.FeedbackColumns;
import io.github.sparkrlhf.feedback.PairAggregator;
import io.github.sparkrlhf.feedback.Splits;
import io.github.sparkrlhf.jobs.PairsSummary.SplitCount;
import io.github.sparkrlhf.spark.JobFailure;
import io.github.sparkrlhf.tables.Inputs;
import io.github.sparkrlhf.tables.Run;
import io.github.sparkrlhf.tables.Table;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Collectors;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** Turns logs of pairwise choices into comparisons, pairs and quarantine. */
@Command(
    name = "pairs",
    description = {
      "Turns logs of pairwise choices into the tables comparisons (one row per vote), pairs (one row per pair) and quarantine (rows that cannot be used, with the reason).",
      "Each EXPRESSION is Spark SQL over the columns of the input."
    })
final class PairsJob extends JobCommand {
  @Option(
      names = "--input",
      required = true,
      paramLabel = "PATH|TABLE",
      description = "A Parquet path (file, folder, glob) or a table name; may be repeated.")
  private List<String> inputs;

  @Option(
      names = "--prompt",
      paramLabel = "EXPRESSION",
      description = "The prompt, a text (default: column prompt).")
  private String prompt;

  @Option(
      names = "--response-a",
      paramLabel = "EXPRESSION",
      description = "The first response, a text (default: column response_a).")
  private String responseA;

  @Option(
      names = "--response-b",
      paramLabel = "EXPRESSION",
      description = "The second response, a text (default: column response_b).")
  private String responseB;

  @Option(
      names = "--choice",
      paramLabel = "EXPRESSION",
      description = "Which response is better: 'a', 'b' or 'tie' (default: column choice).")
  private String choice;

  @Option(
      names = "--annotator",
      paramLabel = "EXPRESSION",
      description = "Who chose (default: column annotator_id; unknown without one).")
  private String annotator;

  @Option(
      names = "--created-at",
      paramLabel = "EXPRESSION",
      description =
          "When, a time or a text in UTC (default: column created_at; unknown without one).")
  private String createdAt;

  @Option(
      names = "--group",
      paramLabel = "EXPRESSION",
      description =
          "What must not be torn apart by splits (default: column group_key, else the prompt).")
  private String group;

  @Option(
      names = "--id",
      paramLabel = "EXPRESSION",
      description =
          "Id of the vote (default: column feedback_id, else a hash of the whole row and its source, so that equal rows count once).")
  private String id;

  @Option(
      names = "--margin",
      paramLabel = "EXPRESSION",
      description =
          "Strength of the choice, a number >= 0 (default: column margin; each choice has strength 1 without one).")
  private String margin;

  @Option(
      names = "--source",
      paramLabel = "NAME",
      description =
          "Name of the log in the tables (default: the last part of the path or the table name).")
  private String source;

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

  @Override
  protected void validate(Given given) {
    Given.requireShare("max-quarantine-share", maxQuarantineShare);
  }

  @Override
  protected List<String> inputFingerprints(JobContext context) {
    return inputs.stream().map(input -> Inputs.fingerprint(context.spark(), input)).toList();
  }

  @Override
  protected Map<String, Object> execute(JobContext context) {
    Splits splits = Splits.parse(splitShares, seed);
    try (Feedback feedback = feedback(context, splits)) {
      long rows = feedback.rows();
      List<ReasonCount> reasons = feedback.quarantineCounts();
      requireQuality(rows, reasons);
      Run run = context.run();
      Dataset<Row> comparisons = feedback.comparisons();
      PairsSummary summary =
          new PairsSummary(
              rows,
              run.write(Table.COMPARISONS, comparisons),
              run.write(Table.QUARANTINE, feedback.quarantine()),
              run.write(Table.PAIRS, PairAggregator.pairs(comparisons)),
              reasons,
              splitCounts(run, splits));
      summary.print(context.out());
      return summary.toMap();
    }
  }

  private Feedback feedback(JobContext context, Splits splits) {
    FeedbackColumns columns =
        new FeedbackColumns(
            prompt, responseA, responseB, choice, annotator, createdAt, group, id, margin);
    Feedback.Builder builder = new Feedback.Builder(columns, splits);
    for (String input : inputs) {
      Dataset<Row> log = Inputs.read(context.spark(), context.tables(), input);
      builder.add(log, source == null ? Inputs.shortName(input) : source);
    }
    return builder.check();
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

  private static List<SplitCount> splitCounts(Run run, Splits splits) {
    return Splits.NAMES.stream().map(name -> splitCount(run, name, splits.share(name))).toList();
  }

  private static SplitCount splitCount(Run run, String split, double share) {
    Row row =
        run.rows(Table.PAIRS)
            .where(col("split").equalTo(split))
            .agg(count(lit(1)), coalesce(sum("votes"), lit(0L)), countDistinct("group_key"))
            .first();
    return new SplitCount(split, share, row.getLong(0), row.getLong(1), row.getLong(2));
  }
}
