package io.github.sparkrlhf.jobs;

import static org.apache.spark.sql.functions.col;

import io.github.sparkrlhf.feedback.ExportLayout;
import io.github.sparkrlhf.feedback.Splits;
import io.github.sparkrlhf.spark.JobFailure;
import io.github.sparkrlhf.tables.Run;
import io.github.sparkrlhf.tables.Table;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** Writes the preferences of a run of pairs as Parquet for another trainer. */
@Command(
    name = "export",
    description = {
      "Writes the preferences of a run of pairs as Parquet files in the columns that another trainer reads.",
      "Ties are left out: no layout has a place for them."
    })
final class ExportJob extends JobCommand {
  /** What becomes a row. */
  enum Rows {
    PAIRS,
    COMPARISONS,
    RATINGS;

    @Override
    public String toString() {
      return name().toLowerCase(Locale.ROOT);
    }
  }

  @Option(
      names = "--pairs-run",
      paramLabel = "ID",
      description =
          "The run of pairs to export (default: the only complete one; an error if there are several).")
  private String pairsRun;

  @Option(
      names = "--layout",
      paramLabel = "LAYOUT",
      defaultValue = "trl",
      description =
          "trl, trl-unpaired, openrlhf or verl (default: ${DEFAULT-VALUE}); see docs/feedback.md.")
  private ExportLayout layout;

  @Option(
      names = "--rows",
      paramLabel = "ROWS",
      defaultValue = "pairs",
      description =
          "pairs: one row for each decided pair. comparisons: one for each vote. ratings: one for each accepted or rejected response, in the layout trl-unpaired (default: ${DEFAULT-VALUE}).")
  private Rows rows;

  @Option(
      names = "--split",
      paramLabel = "SPLIT",
      description = "train, validation or test (default: all, named by the column split).")
  private String split;

  @Option(
      names = "--output",
      required = true,
      paramLabel = "DIR",
      description = "The folder of Parquet files to write; must not exist yet.")
  private String output;

  private String resolvedRun;

  @Override
  protected void validate(Given given) {
    if (split != null && !Splits.NAMES.contains(split)) {
      throw JobFailure.usage("There is no --split " + split + ": give one of " + Splits.NAMES);
    }
    if (rows == Rows.RATINGS && layout != ExportLayout.TRL_UNPAIRED) {
      throw JobFailure.usage(
          "Cannot export ratings in the layout " + layout + ": give --layout trl-unpaired");
    }
  }

  @Override
  protected List<String> inputFingerprints(JobContext context) {
    resolvedRun = context.tables().resolveRun(Table.PAIRS, pairsRun);
    return List.of("pairs of run " + resolvedRun);
  }

  @Override
  protected List<String> lostOutputs(SparkSession spark, Run run) {
    return ParquetFolder.lost(spark, output);
  }

  @Override
  protected Map<String, Object> execute(JobContext context) {
    Dataset<Row> preferences = preferences(context);
    new ParquetFolder(context.spark(), output).write(context.run(), preferences);
    long written = context.spark().read().parquet(output).count();
    context.out().printf(Locale.ROOT, "%,d rows in %s%n", written, output);
    return Map.of("pairs_run", resolvedRun, "rows", written, "output", output);
  }

  private Dataset<Row> preferences(JobContext context) {
    Table table =
        switch (rows) {
          case PAIRS -> Table.PAIRS;
          case COMPARISONS -> Table.COMPARISONS;
          case RATINGS -> Table.RATINGS;
        };
    Dataset<Row> all = context.tables().rows(table, resolvedRun);
    Dataset<Row> chosen = split == null ? all : all.where(col("split").equalTo(split));
    Dataset<Row> wanted =
        rows == Rows.RATINGS ? chosen.where(col("kind").equalTo("binary")) : chosen;
    if (wanted.isEmpty()) {
      throw JobFailure.dataQuality(
          "Cannot export: run "
              + resolvedRun
              + " has no such "
              + rows
              + (split == null ? "" : " in the split " + split));
    }
    // A table is one or the other: a prompt that is a plain text would lose that it is one.
    boolean conversational = wanted.where(col("messages").isNull()).isEmpty();
    Dataset<Row> laidOut = laidOut(wanted, conversational);
    // Read back, a strength that is missing would be an error, and an absent column is none.
    boolean strengths =
        rows != Rows.COMPARISONS || !wanted.where(col("margin").isNotNull()).isEmpty();
    return strengths ? laidOut : laidOut.drop("margin");
  }

  private Dataset<Row> laidOut(Dataset<Row> wanted, boolean conversational) {
    return switch (rows) {
      case PAIRS -> layout.of(ExportLayout.ofPairs(wanted), conversational);
      case COMPARISONS -> layout.of(ExportLayout.ofComparisons(wanted), conversational);
      case RATINGS -> ExportLayout.ofAcceptances(wanted, conversational);
    };
  }
}
