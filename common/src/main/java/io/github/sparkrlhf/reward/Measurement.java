package io.github.sparkrlhf.reward;

import io.github.sparkrlhf.feedback.WilsonInterval;

/**
 * A number about a model with its 95 % interval.
 *
 * @param metric its name
 * @param value the number
 * @param low lower end of the interval; null if there is none
 * @param high upper end of the interval; null if there is none
 * @param n over how many pairs, or votes
 */
record Measurement(String metric, double value, Double low, Double high, long n) {
  /** A share with the interval of Wilson. */
  static Measurement share(String metric, double successes, long n) {
    WilsonInterval interval = WilsonInterval.of(successes, n);
    return new Measurement(metric, successes / n, interval.low(), interval.high(), n);
  }
}
