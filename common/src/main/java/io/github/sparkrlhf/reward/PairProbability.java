package io.github.sparkrlhf.reward;

/**
 * How the difference of two scores becomes the probability that people prefer the first response.
 * It is odd: exchanging the responses exchanges the probabilities, {@code p(−d) = 1 − p(d)}.
 */
public interface PairProbability {
  /** Bradley–Terry as it stands: the difference is the log-odds. */
  PairProbability UNCALIBRATED = new TemperatureScaling("none", 1);

  /** How the probability was calibrated: {@code none}, {@code temperature} or {@code isotonic}. */
  String method();

  /**
   * The log-odds that the first response is preferred, in nats; finite and non-decreasing.
   *
   * @param difference score of the first response minus score of the second, finite
   */
  double logOdds(double difference);

  /** The probability that the first response is preferred, 1 / (1 + exp(−log-odds)). */
  default double probability(double difference) {
    return 1 / (1 + Math.exp(-logOdds(difference)));
  }
}
