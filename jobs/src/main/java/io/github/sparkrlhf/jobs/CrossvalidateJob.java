package io.github.sparkrlhf.jobs;

import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.lit;
import static org.apache.spark.sql.functions.pmod;
import static org.apache.spark.sql.functions.xxhash64;

import io.github.sparkrlhf.reward.CrossValidation;
import io.github.sparkrlhf.reward.FoldMetrics;
import io.github.sparkrlhf.spark.JobFailure;
import io.github.sparkrlhf.tables.Inputs;
import io.github.sparkrlhf.tables.Table;
import io.github.sparkrlhf.training.Progress;
import java.io.OutputStream;
import java.io.PrintStream;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.storage.StorageLevel;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Measures reward models of several kinds on pairs that they were not trained on. */
@Command(
    name = "crossvalidate",
    description = {
      "Fits each candidate once for each fold of the pairs, to all other folds, and tests it on the fold: one table of accuracy, log loss and calibration of all candidates, beside the rules that prefer the longer and the shorter response.",
      "Each EXPRESSION is Spark SQL, of --fold-by over the columns of the table pairs."
    })
final class CrossvalidateJob extends JobCommand {
  private static final String EACH = "each";
  private static final int MOST_FOLDS = 1000;

  @Option(
      names = "--pairs-run",
      paramLabel = "ID",
      description =
          "The run of pairs (default: the only complete one; an error if there are several).")
  private String pairsRun;

  @Option(
      names = "--candidate",
      required = true,
      paramLabel = "NAME=OPTIONS",
      description =
          "A model to measure: a name, and options of the job reward but --output, such as 'small=--kind mlp --hidden 16'; may be repeated.")
  private List<String> candidates;

  @Option(
      names = "--fold-by",
      paramLabel = "EXPRESSION",
      defaultValue = "group_key",
      description =
          "What must not be torn apart by folds: pairs of the same value are in the same fold (default: column ${DEFAULT-VALUE}).")
  private String foldBy;

  @Option(
      names = "--folds",
      paramLabel = "N|each",
      defaultValue = "5",
      description =
          "How many folds the values are dealt into by hash; each: one fold for each value (default: ${DEFAULT-VALUE}).")
  private String folds;

  @Option(
      names = "--parallel-folds",
      paramLabel = "N",
      defaultValue = "2",
      description =
          "How many folds are fitted at a time; changes no result (default: ${DEFAULT-VALUE}).")
  private int parallelFolds;

  @Mixin private TestLabelOptions tests;

  private final Map<String, RewardJob> jobs = new LinkedHashMap<>();
  private String resolvedRun;

  @Override
  protected void validate(Given given) {
    tests.validate(given);
    Given.requireCount("parallel-folds", parallelFolds);
    if (!folds.equals(EACH)) {
      Given.require(
          folds.matches("\\d{1,4}") && foldCount() >= 2 && foldCount() <= MOST_FOLDS,
          "folds",
          folds,
          "each, or a number between 2 and " + MOST_FOLDS);
    }
    for (String candidate : candidates) {
      String[] parts = candidate.split("=", 2);
      Given.require(parts.length == 2, "candidate", "'" + candidate + "'", "NAME=OPTIONS");
      List<String> options =
          Arrays.stream(parts[1].strip().split("\\s+")).filter(part -> !part.isEmpty()).toList();
      if (jobs.put(parts[0].strip(), RewardJob.candidate(parts[0].strip(), options)) != null) {
        throw JobFailure.usage("Cannot compare two candidates named '" + parts[0].strip() + "'");
      }
    }
  }

  private int foldCount() {
    return Integer.parseInt(folds);
  }

  @Override
  protected Set<String> optionsOutsideIdentity() {
    // The run that it means is among the inputs, whether it is named or the only one.
    return Set.of("pairs-run", "parallel-folds");
  }

  @Override
  protected boolean usesTransformers() {
    return jobs.values().stream().anyMatch(RewardJob::usesTransformers);
  }

  @Override
  protected List<String> inputFingerprints(JobContext context) {
    resolvedRun = context.tables().resolveRun(Table.PAIRS, pairsRun);
    List<String> fingerprints = new ArrayList<>(List.of("pairs of run " + resolvedRun));
    fingerprints.addAll(tests.fingerprints(context.spark()));
    jobs.values().forEach(job -> fingerprints.addAll(job.fingerprints()));
    return fingerprints;
  }

  @Override
  protected Map<String, Object> execute(JobContext context) {
    Dataset<Row> pairs = pairs(context).persist(StorageLevel.MEMORY_AND_DISK());
    List<Row> rows = new ArrayList<>();
    try {
      CrossValidation validation = new CrossValidation(pairs, parallelFolds);
      long tested = pairs.where(col(CrossValidation.TEST_PROBABILITY).isNotNull()).count();
      context
          .out()
          .printf(
              "%d pairs in %d folds, %d of them tested%n",
              pairs.count(), validation.folds().size(), tested);
      jobs.forEach(
          (name, job) -> {
            List<CrossValidation.Outcome> outcomes =
                validation.outcomes(
                    name,
                    job.trainer(context, new PrintStream(OutputStream.nullOutputStream())),
                    new Progress(
                        context.out(), "crossvalidate " + name, validation.folds().size()));
            if (rows.isEmpty()) {
              rows.addAll(FoldMetrics.ofLengthRules(outcomes));
            }
            rows.addAll(FoldMetrics.of(name, job.kind().toString(), outcomes));
          });
    } finally {
      pairs.unpersist();
    }
    context
        .run()
        .write(
            Table.REWARD_FOLDS,
            context.spark().createDataFrame(rows, Table.REWARD_FOLDS.schemaWithoutRun()));
    return FoldSummary.print(context, rows);
  }

  private Dataset<Row> pairs(JobContext context) {
    Dataset<Row> pairs = context.tables().rows(Table.PAIRS, resolvedRun);
    Column value = Inputs.expression(pairs, "--fold-by", foldBy).cast("string");
    Column fold =
        folds.equals(EACH) ? value : pmod(xxhash64(value), lit((long) foldCount())).cast("string");
    Dataset<Row> dealt = pairs.withColumn(CrossValidation.FOLD, fold);
    if (!dealt.where(value.isNull()).isEmpty()) {
      throw JobFailure.dataQuality("Cannot cross-validate: --fold-by " + foldBy + " is null");
    }
    if (folds.equals(EACH) && dealt.select(CrossValidation.FOLD).distinct().count() > MOST_FOLDS) {
      throw JobFailure.usage(
          "Cannot cross-validate: --fold-by %s has more than %d values; give --folds a number"
              .formatted(foldBy, MOST_FOLDS));
    }
    return tests.added(context, dealt);
  }
}
