package io.github.sparkrlhf.evaluation;

/**
 * A number about some responses.
 *
 * @param metric what is measured
 * @param low the lower end of the 95 % interval; null if it has none
 * @param high the upper end
 * @param n prompts, or of human votes the pairs
 */
public record Measurement(String metric, double value, Double low, Double high, long n) {}
