package io.github.sparkrlhf.reward;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.ToDoubleFunction;
import java.util.stream.IntStream;

/** Everything that is measured about a model on a list of pairs; docs/reward.md defines each. */
final class PairMetrics {
  /** A statistic with what its name and interval need. */
  private record Asked(Statistic statistic, long n, boolean isError) {}

  private final List<PairOutcome> pairs;
  private final long decided;
  private final List<Measurement> measurements = new ArrayList<>();
  private final Map<String, Asked> asked = new LinkedHashMap<>();

  private PairMetrics(List<PairOutcome> pairs) {
    this.pairs = pairs;
    this.decided = pairs.stream().filter(PairOutcome::decided).count();
  }

  /**
   * Measures.
   *
   * @param pairs in a fixed order; at least one
   * @param methods from differences to probabilities, {@link PairProbability#UNCALIBRATED} first
   * @param seed of the bootstrap
   * @return what is defined for these pairs
   */
  static List<Measurement> of(List<PairOutcome> pairs, List<PairProbability> methods, long seed) {
    PairMetrics metrics = new PairMetrics(pairs);
    metrics.addAccuracies();
    metrics.addCeilings();
    methods.forEach(metrics::addProbabilities);
    metrics.addLengthCorrelations();
    metrics.measureAsked(seed);
    return metrics.measurements;
  }

  private void addAccuracies() {
    addAccuracy(RewardEvaluation.ACCURACY, PairOutcome::difference);
    addAccuracy(RewardEvaluation.ACCURACY_ALWAYS_LONGER, PairOutcome::length);
    addAccuracy("accuracy_always_shorter", pair -> -pair.length());
    addAccuracy("accuracy_more_lists", PairOutcome::lists);
    addAccuracy("accuracy_more_markdown", PairOutcome::marks);
    long right = pairs.stream().mapToLong(PairOutcome::firstShownFor).sum();
    long votes = right + pairs.stream().mapToLong(PairOutcome::firstShownAgainst).sum();
    if (votes > 0) {
      measurements.add(Measurement.share("accuracy_first_shown", right, votes));
    }
    ask("lift_over_longer", decided, lift(PairOutcome::length));
    ask("lift_over_shorter", decided, lift(pair -> -pair.length()));
  }

  private void addAccuracy(String metric, ToDoubleFunction<PairOutcome> ahead) {
    if (decided > 0) {
      double right = pairs.stream().mapToDouble(ifDecided(credit(ahead))).sum();
      measurements.add(Measurement.share(metric, right, decided));
    }
  }

  /** By how much the model is more often right than a rule, on the same pairs. */
  private Statistic lift(ToDoubleFunction<PairOutcome> rule) {
    return Statistic.ratio(
        pairs,
        ifDecided(
            pair ->
                PairOutcome.credit(pair.difference())
                    - PairOutcome.credit(rule.applyAsDouble(pair))),
        ifDecided(pair -> 1));
  }

  private void addCeilings() {
    ToDoubleFunction<PairOutcome> ceiling = ifDecided(PairOutcome::probability);
    ToDoubleFunction<PairOutcome> right = ifDecided(credit(PairOutcome::difference));
    ask("ceiling", decided, Statistic.ratio(pairs, ceiling, ifDecided(pair -> 1)));
    ask("share_of_ceiling", decided, Statistic.ratio(pairs, right, ceiling));
    ToDoubleFunction<PairOutcome> votes = pair -> pair.votesFor() + pair.votesAgainst();
    ToDoubleFunction<PairOutcome> model = pair -> pair.votesAgreed(pair.difference());
    long n = (long) pairs.stream().mapToDouble(votes).sum();
    ask("vote_agreement", n, Statistic.ratio(pairs, model, votes));
    ask("annotator_agreement", n, Statistic.ratio(pairs, PairOutcome::votesAgreedByOthers, votes));
    ask(
        "share_of_annotator_agreement",
        n,
        Statistic.ratio(pairs, model, PairOutcome::votesAgreedByOthers));
  }

  private void addProbabilities(PairProbability method) {
    String suffix = method == PairProbability.UNCALIBRATED ? "" : "_" + method.method();
    long n = pairs.size();
    ask(
        RewardEvaluation.LOG_LOSS + suffix,
        n,
        Statistic.mean(
            pairs,
            pair -> ProperScores.logLoss(method.logOdds(pair.difference()), pair.probability())));
    ask(
        "brier" + suffix,
        n,
        Statistic.mean(
            pairs,
            pair -> ProperScores.brier(method.probability(pair.difference()), pair.probability())));
    double[] differences = values(PairOutcome::difference);
    double[] probabilities = values(PairOutcome::probability);
    askError(
        RewardEvaluation.ECE + suffix,
        ReliabilityCurve.equalMass(method, differences, probabilities));
    askError(
        RewardEvaluation.ECE + "_equal_width" + suffix,
        ReliabilityCurve.equalWidth(method, differences, probabilities));
  }

  private void addLengthCorrelations() {
    double[] score = values(PairOutcome::difference);
    double[] length = values(PairOutcome::length);
    long n = pairs.size();
    ask("length_correlation_pearson", n, Statistic.correlation(score, length));
    ask(
        "length_correlation_spearman",
        n,
        Statistic.correlation(signedRanks(score), signedRanks(length)));
  }

  /**
   * The ranks of differences among all differences seen from both sides, counted from the middle:
   * the rank of the absolute value, with the sign.
   */
  static double[] signedRanks(double[] differences) {
    int n = differences.length;
    int[] order =
        IntStream.range(0, n)
            .boxed()
            .sorted(Comparator.comparingDouble(i -> Math.abs(differences[i])))
            .mapToInt(Integer::intValue)
            .toArray();
    double[] ranks = new double[n];
    for (int start = 0; start < n; ) {
      int end = start + 1;
      double size = Math.abs(differences[order[start]]);
      while (end < n && Math.abs(differences[order[end]]) == size) {
        end++;
      }
      for (int i = start; i < end; i++) {
        ranks[order[i]] = Math.signum(differences[order[i]]) * (start + end) / 2.0;
      }
      start = end;
    }
    return ranks;
  }

  private void measureAsked(long seed) {
    List<Statistic> statistics = asked.values().stream().map(Asked::statistic).toList();
    Bootstrap bootstrap =
        new Bootstrap(pairs.stream().map(PairOutcome::pairId).toList(), statistics, seed);
    int[] once = new int[pairs.size()];
    Arrays.fill(once, 1);
    int at = 0;
    for (Map.Entry<String, Asked> each : asked.entrySet()) {
      Asked question = each.getValue();
      double value = question.statistic().of(once);
      double[] interval = bootstrap.interval(at);
      at++;
      if (Double.isNaN(value)) {
        continue;
      }
      // A resampled error is too large by as much as the error itself is: turn the interval round.
      double low =
          question.isError() ? Math.max(0, Math.min(value, 2 * value - interval[1])) : interval[0];
      double high = question.isError() ? Math.max(value, 2 * value - interval[0]) : interval[1];
      boolean known = pairs.size() > 1 && !Double.isNaN(low);
      measurements.add(
          new Measurement(
              each.getKey(), value, known ? low : null, known ? high : null, question.n()));
    }
  }

  private void ask(String metric, long n, Statistic statistic) {
    if (n > 0) {
      asked.put(metric, new Asked(statistic, n, false));
    }
  }

  private void askError(String metric, ReliabilityCurve curve) {
    asked.put(metric, new Asked(curve::expectedCalibrationError, pairs.size(), true));
  }

  private double[] values(ToDoubleFunction<PairOutcome> value) {
    return pairs.stream().mapToDouble(value).toArray();
  }

  private static ToDoubleFunction<PairOutcome> credit(ToDoubleFunction<PairOutcome> ahead) {
    return pair -> PairOutcome.credit(ahead.applyAsDouble(pair));
  }

  private static ToDoubleFunction<PairOutcome> ifDecided(ToDoubleFunction<PairOutcome> value) {
    return pair -> pair.decided() ? value.applyAsDouble(pair) : 0;
  }
}
