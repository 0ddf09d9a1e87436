package io.github.sparkrlhf.reward;

import java.util.Arrays;
import java.util.Comparator;
import java.util.stream.IntStream;

/**
 * Score differences of pairs and what people say about them, in a form that neither the order of
 * the pairs nor that of the responses in a pair changes: differences are not negative, and
 * ascending.
 */
final class JudgedDifferences {
  private final double[] difference;
  private final double[] share;

  /**
   * The pairs.
   *
   * @param difference score of the first response minus score of the second, finite
   * @param probability that people prefer the first response, in [0, 1]
   * @throws IllegalArgumentException if a number is not in its range
   */
  JudgedDifferences(double[] difference, double[] probability) {
    if (difference.length != probability.length) {
      throw new IllegalArgumentException("one probability for each difference");
    }
    double[] folded = new double[difference.length];
    double[] shares = new double[difference.length];
    for (int i = 0; i < folded.length; i++) {
      if (!Double.isFinite(difference[i]) || !(probability[i] >= 0 && probability[i] <= 1)) {
        throw new IllegalArgumentException(
            "not a difference and a probability: " + difference[i] + ", " + probability[i]);
      }
      folded[i] = Math.abs(difference[i]);
      shares[i] = forFavourite(difference[i], probability[i]);
    }
    int[] order =
        IntStream.range(0, folded.length)
            .boxed()
            .sorted(
                Comparator.<Integer>comparingDouble(i -> folded[i]).thenComparing(i -> shares[i]))
            .mapToInt(Integer::intValue)
            .toArray();
    this.difference = Arrays.stream(order).mapToDouble(i -> folded[i]).toArray();
    this.share = Arrays.stream(order).mapToDouble(i -> shares[i]).toArray();
  }

  /** The probability that people prefer the response with the higher score; ½ if they are equal. */
  static double forFavourite(double difference, double probability) {
    if (difference == 0) {
      return 0.5;
    }
    return difference > 0 ? probability : 1 - probability;
  }

  int size() {
    return difference.length;
  }

  /** By how much the higher score exceeds the other. */
  double difference(int pair) {
    return difference[pair];
  }

  /** The probability that people prefer the response with the higher score. */
  double share(int pair) {
    return share[pair];
  }
}
