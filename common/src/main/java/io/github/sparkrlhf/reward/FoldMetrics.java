package io.github.sparkrlhf.reward;

import io.github.sparkrlhf.feedback.WilsonInterval;
import io.github.sparkrlhf.reward.CrossValidation.Outcome;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.ToDoubleFunction;
import org.apache.commons.math3.distribution.TDistribution;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;

/**
 * What cross-validation says of one candidate, as rows of the table {@code reward_folds}; the fold
 * is null where a metric is over all folds.
 *
 * <ul>
 *   <li>{@code accuracy}: share of decided pairs whose better response has the higher score, equal
 *       scores one half; interval of Wilson over pairs. Per fold and over all.
 *   <li>{@code mean_fold_accuracy}: mean of the folds' accuracies; interval of Student over folds.
 *   <li>{@code lift}: mean over folds of the accuracy minus that of the better one of always-longer
 *       and always-shorter over all pairs; interval of Student over folds.
 *   <li>{@code log_loss} in nats and {@code ece}, see {@link ReliabilityCurve#equalWidth}; and
 *       {@code _calibrated}: the same after the differences of each fold were divided by the {@code
 *       temperature} of least log loss on the pairs of the other folds.
 * </ul>
 */
public final class FoldMetrics {
  /** The name of the metric {@code accuracy}. */
  public static final String ACCURACY = "accuracy";

  /** The name of the metric {@code mean_fold_accuracy}. */
  public static final String MEAN_FOLD_ACCURACY = "mean_fold_accuracy";

  /** The name of the metric {@code lift}. */
  public static final String LIFT = "lift";

  /** The name of the metric {@code log_loss}. */
  public static final String LOG_LOSS = "log_loss";

  /** The name of the metric {@code ece}. */
  public static final String ECE = "ece";

  /** What is added to a metric's name after calibration. */
  public static final String CALIBRATED = "_calibrated";

  private final String candidate;
  private final String kind;
  private final Map<String, List<Outcome>> byFold = new TreeMap<>();
  private final List<Row> rows = new ArrayList<>();

  private FoldMetrics(String candidate, String kind, List<Outcome> outcomes) {
    this.candidate = candidate;
    this.kind = kind;
    outcomes.forEach(
        outcome -> byFold.computeIfAbsent(outcome.fold(), fold -> new ArrayList<>()).add(outcome));
  }

  /**
   * All metrics of a model.
   *
   * @param outcomes in any order
   */
  public static List<Row> of(String candidate, String kind, List<Outcome> outcomes) {
    FoldMetrics metrics = new FoldMetrics(candidate, kind, outcomes);
    metrics.addAccuracy(Outcome::difference);
    metrics.addLoss();
    return metrics.rows;
  }

  /** Accuracy of the rules that prefer the longer and the shorter response. */
  public static List<Row> ofLengthRules(List<Outcome> outcomes) {
    FoldMetrics longer = new FoldMetrics("always-longer", "rule", outcomes);
    longer.addAccuracy(Outcome::longer);
    FoldMetrics shorter = new FoldMetrics("always-shorter", "rule", outcomes);
    shorter.addAccuracy(outcome -> -outcome.longer());
    longer.rows.addAll(shorter.rows);
    return longer.rows;
  }

  private void addAccuracy(ToDoubleFunction<Outcome> difference) {
    List<Outcome> all = byFold.values().stream().flatMap(List::stream).toList();
    double longer = right(all, Outcome::longer);
    double shorter = right(all, outcome -> -outcome.longer());
    ToDoubleFunction<Outcome> rule =
        longer >= shorter ? Outcome::longer : outcome -> -outcome.longer();
    List<Double> accuracies = new ArrayList<>();
    List<Double> lifts = new ArrayList<>();
    byFold.forEach(
        (fold, pairs) -> {
          long n = decided(pairs);
          if (n > 0) {
            double right = right(pairs, difference);
            addShare(fold, right, n);
            accuracies.add(right / n);
            lifts.add((right - right(pairs, rule)) / n);
          }
        });
    addShare(null, right(all, difference), decided(all));
    addMean(MEAN_FOLD_ACCURACY, accuracies);
    addMean(LIFT, lifts);
  }

  private static long decided(List<Outcome> pairs) {
    return pairs.stream().filter(Outcome::decided).count();
  }

  private static double right(List<Outcome> pairs, ToDoubleFunction<Outcome> difference) {
    return pairs.stream()
        .filter(Outcome::decided)
        .mapToDouble(
            pair -> {
              double ahead = difference.applyAsDouble(pair) * (pair.probability() > 0.5 ? 1 : -1);
              return ahead == 0 ? 0.5 : ahead > 0 ? 1 : 0;
            })
        .sum();
  }

  private void addShare(String fold, double right, long n) {
    if (n > 0) {
      WilsonInterval interval = WilsonInterval.of(right, n);
      add(fold, ACCURACY, right / n, interval.low(), interval.high(), n);
    }
  }

  private void addMean(String metric, List<Double> values) {
    int n = values.size();
    if (n < 2) {
      return;
    }
    double mean = values.stream().mapToDouble(Double::doubleValue).average().orElseThrow();
    double squares = values.stream().mapToDouble(value -> (value - mean) * (value - mean)).sum();
    double half =
        new TDistribution(n - 1).inverseCumulativeProbability(0.975)
            * Math.sqrt(squares / (n - 1) / n);
    add(null, metric, mean, mean - half, mean + half, n);
  }

  private void addLoss() {
    List<Outcome> all = new ArrayList<>();
    List<Double> calibrated = new ArrayList<>();
    byFold.forEach(
        (fold, pairs) -> {
          List<Outcome> others =
              byFold.entrySet().stream()
                  .filter(entry -> !entry.getKey().equals(fold))
                  .flatMap(entry -> entry.getValue().stream())
                  .toList();
          if (!others.isEmpty()) {
            TemperatureScaling temperature =
                TemperatureScaling.fit(
                    new JudgedDifferences(
                        numbers(others, Outcome::difference),
                        numbers(others, Outcome::probability)));
            add(fold, "temperature", temperature.temperature(), null, null, others.size());
            pairs.forEach(pair -> calibrated.add(temperature.logOdds(pair.difference())));
            all.addAll(pairs);
          }
        });
    if (all.isEmpty()) {
      return;
    }
    double[] probabilities = numbers(all, Outcome::probability);
    addLoss("", numbers(all, Outcome::difference), probabilities);
    addLoss(
        CALIBRATED, calibrated.stream().mapToDouble(Double::doubleValue).toArray(), probabilities);
  }

  private void addLoss(String suffix, double[] logOdds, double[] probabilities) {
    double loss = 0;
    for (int i = 0; i < logOdds.length; i++) {
      loss += ProperScores.logLoss(logOdds[i], probabilities[i]);
    }
    add(null, LOG_LOSS + suffix, loss / logOdds.length, null, null, logOdds.length);
    double ece =
        ReliabilityCurve.equalWidth(PairProbability.UNCALIBRATED, logOdds, probabilities)
            .expectedCalibrationError();
    add(null, ECE + suffix, ece, null, null, logOdds.length);
  }

  private static double[] numbers(List<Outcome> outcomes, ToDoubleFunction<Outcome> number) {
    return outcomes.stream().mapToDouble(number).toArray();
  }

  private void add(String fold, String metric, double value, Double low, Double high, long n) {
    rows.add(RowFactory.create(candidate, kind, fold, metric, value, low, high, n));
  }
}
