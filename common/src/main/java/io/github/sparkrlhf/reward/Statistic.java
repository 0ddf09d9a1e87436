package io.github.sparkrlhf.reward;

import java.util.List;
import java.util.function.ToDoubleFunction;

/** A number about a list of pairs that can be asked again with each pair counted some times. */
public interface Statistic {
  /**
   * The statistic.
   *
   * @param times for each pair how often it counts
   * @return NaN if it is not defined
   */
  double of(int[] times);

  /** The sum of one quantity over that of another: a mean, or a ratio of two means. */
  static Statistic ratio(
      List<PairOutcome> pairs,
      ToDoubleFunction<PairOutcome> numerator,
      ToDoubleFunction<PairOutcome> denominator) {
    double[] above = pairs.stream().mapToDouble(numerator).toArray();
    double[] below = pairs.stream().mapToDouble(denominator).toArray();
    return times -> {
      double sum = 0;
      double n = 0;
      for (int i = 0; i < times.length; i++) {
        sum += times[i] * above[i];
        n += times[i] * below[i];
      }
      return sum / n;
    };
  }

  /** The mean of a quantity. */
  static Statistic mean(List<PairOutcome> pairs, ToDoubleFunction<PairOutcome> quantity) {
    return ratio(pairs, quantity, pair -> 1);
  }

  /**
   * The correlation of Pearson of two differences where each pair is seen from both sides: both
   * means are zero then, and it does not matter which response is the first.
   */
  static Statistic correlation(double[] x, double[] y) {
    return times -> {
      double xy = 0;
      double xx = 0;
      double yy = 0;
      for (int i = 0; i < times.length; i++) {
        xy += times[i] * x[i] * y[i];
        xx += times[i] * x[i] * x[i];
        yy += times[i] * y[i] * y[i];
      }
      return xy / Math.sqrt(xx * yy);
    };
  }
}
