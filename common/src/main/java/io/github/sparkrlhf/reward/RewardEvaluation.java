package io.github.sparkrlhf.reward;

import io.github.sparkrlhf.feedback.WilsonInterval;
import io.github.sparkrlhf.spark.JobDescriptions;
import io.github.sparkrlhf.spark.JobFailure;
import io.github.sparkrlhf.tables.Table;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.stream.Collectors;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;

/**
 * How well a reward model agrees with people: per split, over all its pairs and by slice, beside
 * rules that do not read the text and beside what people themselves reach; before and after
 * calibration on the split {@value #VALIDATION}. docs/reward.md defines every metric.
 */
public final class RewardEvaluation {
  /** The share of decided pairs that the model orders as people do; equal scores count one half. */
  public static final String ACCURACY = "accuracy";

  /** The mean cross entropy between votes and model, all pairs; ln 2 is a coin's. */
  public static final String LOG_LOSS = "log_loss";

  /** The expected calibration error, in bins of equal mass. */
  public static final String ECE = "ece";

  /** The accuracy of the rule that prefers the longer response. */
  public static final String ACCURACY_ALWAYS_LONGER = "accuracy_always_longer";

  /** The split that models are trained on: measured as a whole only. */
  private static final String TRAIN = "train";

  /** The split that calibration is fitted on. */
  public static final String VALIDATION = "validation";

  /** The rows of {@code reward_metrics} that are about whole splits. */
  public static final String WHOLE_SPLITS = "slice = 'all'";

  private static final long SEED = 0;

  private final SparkSession spark;
  private final String name;
  private final String kind;
  private final SortedMap<String, List<PairOutcome>> splits;
  private final Calibration calibration;
  private final Map<String, List<Measurement>> annotators;

  private RewardEvaluation(
      SparkSession spark,
      String name,
      String kind,
      List<PairOutcome> outcomes,
      Map<String, List<Measurement>> annotators) {
    this.spark = spark;
    this.name = name;
    this.kind = kind;
    this.annotators = annotators;
    this.splits =
        outcomes.stream()
            .collect(Collectors.groupingBy(PairOutcome::split, TreeMap::new, Collectors.toList()));
    List<PairOutcome> validation = splits.getOrDefault(VALIDATION, List.of());
    this.calibration =
        validation.isEmpty()
            ? null
            : Calibration.fit(spark, differences(validation), probabilities(validation));
  }

  /**
   * Scores the pairs once, and calibrates on those of the split {@value #VALIDATION}.
   *
   * @param name what the model is called in the results
   * @param pairs rows of the table {@code pairs}; pair_id is unique
   * @param comparisons rows of the table {@code comparisons} behind the pairs; null if not known,
   *     then nothing is said about annotators and kinds of feedback
   * @throws JobFailure if a score is not a finite number
   */
  public static RewardEvaluation of(
      RewardModel model, String name, Dataset<Row> pairs, Dataset<Row> comparisons) {
    return JobDescriptions.described(
        pairs.sparkSession().sparkContext(),
        "reward: evaluate " + name,
        () -> {
          List<PairOutcome> outcomes = PairOutcomes.of(model, pairs, comparisons);
          requireFinite(name, outcomes);
          return new RewardEvaluation(
              pairs.sparkSession(),
              name,
              model.kind(),
              outcomes,
              comparisons == null ? Map.of() : AnnotatorAgreement.of(outcomes, pairs, comparisons));
        });
  }

  private static void requireFinite(String name, List<PairOutcome> outcomes) {
    long notFinite = outcomes.stream().filter(pair -> !Double.isFinite(pair.difference())).count();
    if (notFinite > 0) {
      throw JobFailure.failure(
          "Cannot evaluate reward model %s: %d of %d pairs have a score that is not a number"
              .formatted(name, notFinite, outcomes.size()));
    }
  }

  /** {@link #metrics()} over whole splits, where nothing is known about single votes. */
  public static Dataset<Row> metrics(RewardModel model, String name, Dataset<Row> pairs) {
    return of(model, name, pairs, null).metrics().where(WHOLE_SPLITS);
  }

  /** The calibration fitted on the split {@value #VALIDATION}; none if it has no pairs. */
  public Optional<Calibration> calibration() {
    return Optional.ofNullable(calibration);
  }

  /** Rows of the table {@code reward_metrics} without {@code run_id}, by split and slice. */
  public Dataset<Row> metrics() {
    List<Row> rows = new ArrayList<>();
    splits.forEach(
        (split, pairs) -> {
          SortedMap<EvaluationSlice, List<PairOutcome>> slices = EvaluationSlice.of(pairs);
          if (split.equals(TRAIN)) {
            slices.keySet().retainAll(List.of(EvaluationSlice.ALL));
          }
          slices.forEach(
              (slice, part) ->
                  PairMetrics.of(part, methods(), SEED)
                      .forEach(each -> rows.add(metric(split, slice, each))));
          annotators
              .getOrDefault(split, List.of())
              .forEach(each -> rows.add(metric(split, EvaluationSlice.ALL, each)));
        });
    return spark.createDataFrame(rows, Table.REWARD_METRICS.schemaWithoutRun());
  }

  private Row metric(String split, EvaluationSlice slice, Measurement measured) {
    return RowFactory.create(
        name,
        kind,
        split,
        slice.slice(),
        slice.value(),
        measured.metric(),
        measured.value(),
        measured.low(),
        measured.high(),
        measured.n());
  }

  /**
   * Rows of the table {@code reliability} without {@code run_id}: bins of equal mass, before and
   * after calibration, with Wilson intervals of what was observed.
   */
  public Dataset<Row> reliability() {
    List<Row> rows = new ArrayList<>();
    splits.forEach(
        (split, pairs) -> {
          for (PairProbability method : methods()) {
            int number = 0;
            for (ReliabilityCurve.Bin bin :
                ReliabilityCurve.equalMass(method, differences(pairs), probabilities(pairs))
                    .bins()) {
              WilsonInterval interval = WilsonInterval.of(bin.observed() * bin.n(), bin.n());
              rows.add(
                  RowFactory.create(
                      name,
                      kind,
                      split,
                      method.method(),
                      number++,
                      bin.n(),
                      bin.predicted(),
                      bin.observed(),
                      interval.low(),
                      interval.high()));
            }
          }
        });
    return spark.createDataFrame(rows, Table.RELIABILITY.schemaWithoutRun());
  }

  private List<PairProbability> methods() {
    return calibration == null ? List.of(PairProbability.UNCALIBRATED) : calibration.methods();
  }

  private static double[] differences(List<PairOutcome> pairs) {
    return pairs.stream().mapToDouble(PairOutcome::difference).toArray();
  }

  private static double[] probabilities(List<PairOutcome> pairs) {
    return pairs.stream().mapToDouble(PairOutcome::probability).toArray();
  }
}
