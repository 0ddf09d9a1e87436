package io.github.sparkrlhf.reward;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.mllib.regression.IsotonicRegression;
import org.apache.spark.mllib.regression.IsotonicRegressionModel;
import scala.Tuple3;

/**
 * Isotonic regression (Zadrozny and Elkan, 2002): the probability is the non-decreasing function of
 * the score difference that is nearest to the votes in mean square, linear between its steps.
 *
 * <p>Of n pairs none is more certain than 1 − 1/(n + 2), so that the log loss stays finite.
 */
public final class IsotonicCalibration implements PairProbability {
  /** The name of the method. */
  public static final String METHOD = "isotonic";

  private final double[] boundaries;
  private final double[] probabilities;

  /**
   * A step function.
   *
   * @param boundaries score differences, not negative, strictly ascending, the first one 0
   * @param probabilities at the boundaries, in [½, 1), non-decreasing, the first one ½
   * @throws IllegalArgumentException if they are not
   */
  IsotonicCalibration(double[] boundaries, double[] probabilities) {
    boolean sound =
        boundaries.length == probabilities.length
            && boundaries.length > 0
            && boundaries[0] == 0
            && probabilities[0] == 0.5;
    for (int i = 1; sound && i < boundaries.length; i++) {
      sound =
          boundaries[i] > boundaries[i - 1]
              && probabilities[i] >= probabilities[i - 1]
              && probabilities[i] < 1
              && Double.isFinite(boundaries[i]);
    }
    if (!sound) {
      throw new IllegalArgumentException("not an isotonic calibration");
    }
    this.boundaries = boundaries.clone();
    this.probabilities = probabilities.clone();
  }

  @Override
  public String method() {
    return METHOD;
  }

  @Override
  public double logOdds(double difference) {
    double probability = interpolated(Math.abs(difference));
    double logOdds = Math.log(probability / (1 - probability));
    return difference < 0 ? -logOdds : logOdds;
  }

  double[] boundaries() {
    return boundaries.clone();
  }

  double[] probabilities() {
    return probabilities.clone();
  }

  private double interpolated(double difference) {
    int at = Arrays.binarySearch(boundaries, difference);
    if (at >= 0) {
      return probabilities[at];
    }
    int above = -at - 1;
    if (above == boundaries.length) {
      return probabilities[above - 1];
    }
    double part =
        (difference - boundaries[above - 1]) / (boundaries[above] - boundaries[above - 1]);
    return probabilities[above - 1] + part * (probabilities[above] - probabilities[above - 1]);
  }

  /** Fits by MLlib, in one task. Each pair is seen from both sides, which makes the fit odd. */
  static IsotonicCalibration fit(JavaSparkContext spark, JudgedDifferences judged) {
    List<Tuple3<Double, Double, Double>> sides = new ArrayList<>(2 * judged.size());
    // MLlib pools neighbours in the order in which they stand: from the least difference up.
    for (int i = judged.size() - 1; i >= 0; i--) {
      sides.add(new Tuple3<>(1 - judged.share(i), -judged.difference(i), 1.0));
    }
    for (int i = 0; i < judged.size(); i++) {
      sides.add(new Tuple3<>(judged.share(i), judged.difference(i), 1.0));
    }
    IsotonicRegressionModel fitted =
        new IsotonicRegression().setIsotonic(true).run(spark.parallelize(sides, 1));
    return upperHalf(fitted.boundaries(), fitted.predictions(), 1 - 1.0 / (judged.size() + 2));
  }

  private static IsotonicCalibration upperHalf(
      double[] boundaries, double[] predictions, double mostCertain) {
    List<Double> from = new ArrayList<>(List.of(0.0));
    List<Double> probability = new ArrayList<>(List.of(0.5));
    for (int i = 0; i < boundaries.length; i++) {
      double bounded = Math.min(mostCertain, Math.max(0.5, predictions[i]));
      double last = probability.get(probability.size() - 1);
      if (boundaries[i] > from.get(from.size() - 1)) {
        from.add(boundaries[i]);
        probability.add(Math.max(last, bounded));
      }
    }
    return new IsotonicCalibration(
        from.stream().mapToDouble(Double::doubleValue).toArray(),
        probability.stream().mapToDouble(Double::doubleValue).toArray());
  }
}
