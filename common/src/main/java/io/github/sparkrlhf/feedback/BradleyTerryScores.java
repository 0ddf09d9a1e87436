package io.github.sparkrlhf.feedback;

import java.util.Arrays;

/**
 * The scores of the responses to one prompt, given how reliable those who compared them are: the
 * maximum a posteriori of the annotator-aware Bradley–Terry model of Chen, Bennett,
 * Collins-Thompson and Horvitz (WSDM 2013). Annotator k, who is right with probability η_k, prefers
 * i to j with probability
 *
 * <pre>P(i &gt;_k j) = η_k σ(s_i − s_j) + (1 − η_k) σ(s_j − s_i)</pre>
 *
 * <p>Each score has a normal prior with mean 0 and precision {@value #PRECISION}, without which a
 * response that won all its comparisons had no finite score. A tie counts one half for each side.
 */
final class BradleyTerryScores {
  /** The inverse variance of the prior of a score. */
  static final double PRECISION = 0.25;

  private static final int MAX_ITERATIONS = 100;
  private static final double TOLERANCE = 1e-4;

  /** The greatest slope of the logistic function, which makes every step an ascent. */
  private static final double STEEPEST = 0.25;

  private BradleyTerryScores() {}

  /**
   * Fits the scores. In each iteration the votes are weighted by the probability that they are
   * meant as they were cast (expectation), then every score climbs the concave bound of Böhning and
   * Lindsay (1988) with its curvature at the diagonal doubled, so that all scores move at once.
   *
   * @param responses the number of responses
   * @param first the first response of each vote
   * @param second the second response of each vote
   * @param shares the share of each vote that is for the first: 1, ½ or 0
   * @param reliabilities η of who cast the vote
   * @return {@code [responses]}
   */
  static double[] fit(
      int responses, int[] first, int[] second, double[] shares, double[] reliabilities) {
    double[] scores = new double[responses];
    double[] gradient = new double[responses];
    double[] curvature = new double[responses];
    Arrays.fill(curvature, PRECISION);
    for (int i = 0; i < first.length; i++) {
      curvature[first[i]] += 2 * STEEPEST;
      curvature[second[i]] += 2 * STEEPEST;
    }
    double change = Double.POSITIVE_INFINITY;
    for (int iteration = 0; iteration < MAX_ITERATIONS && change > TOLERANCE; iteration++) {
      for (int i = 0; i < responses; i++) {
        gradient[i] = -PRECISION * scores[i];
      }
      for (int i = 0; i < first.length; i++) {
        double wins = sigmoid(scores[first[i]] - scores[second[i]]);
        double meant =
            shares[i] * meant(wins, reliabilities[i])
                + (1 - shares[i]) * (1 - meant(1 - wins, reliabilities[i]));
        gradient[first[i]] += meant - wins;
        gradient[second[i]] -= meant - wins;
      }
      change = 0;
      for (int i = 0; i < responses; i++) {
        double step = gradient[i] / curvature[i];
        scores[i] += step;
        change = Math.max(change, Math.abs(step));
      }
    }
    return scores;
  }

  /**
   * The probability that a vote for a response is one of a reliable moment.
   *
   * @param wins the probability that the response is better
   * @param reliability η of who cast the vote
   */
  static double meant(double wins, double reliability) {
    double right = reliability * wins;
    return right / (right + (1 - reliability) * (1 - wins));
  }

  /** 1 / (1 + e^−x). */
  static double sigmoid(double x) {
    return 1 / (1 + StrictMath.exp(-x));
  }
}
