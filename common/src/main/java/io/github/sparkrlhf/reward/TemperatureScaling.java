package io.github.sparkrlhf.reward;

/**
 * Temperature scaling (Guo et al., 2017, section 4.2): the log-odds are the difference of the
 * scores divided by one number. It changes no order, hence no accuracy.
 *
 * @param method {@value #METHOD}, or {@code none} where nothing was fitted
 * @param temperature positive; above 1 it makes the model less sure
 */
public record TemperatureScaling(String method, double temperature) implements PairProbability {
  /** The name of the method. */
  public static final String METHOD = "temperature";

  /** The least and the greatest temperature; a model that is always right would want 0. */
  static final double LOWEST = 1e-3;

  static final double HIGHEST = 1e3;

  /** Halvings of the interval; more than a double can tell apart. */
  private static final int BISECTIONS = 100;

  /** Checks the temperature. */
  public TemperatureScaling {
    if (!(temperature > 0 && Double.isFinite(temperature))) {
      throw new IllegalArgumentException("temperature must be positive: " + temperature);
    }
  }

  @Override
  public double logOdds(double difference) {
    return difference / temperature;
  }

  /**
   * The temperature of least log loss. With a = 1/T the loss is convex, and its derivative Σ d·(σ(a
   * d) − p) is bisected.
   */
  static TemperatureScaling fit(JudgedDifferences judged) {
    double low = 1 / HIGHEST;
    double high = 1 / LOWEST;
    for (int i = 0; i < BISECTIONS; i++) {
      // In the middle of the orders of magnitude.
      double middle = Math.sqrt(low * high);
      if (slope(judged, middle) > 0) {
        high = middle;
      } else {
        low = middle;
      }
    }
    return new TemperatureScaling(METHOD, 1 / Math.sqrt(low * high));
  }

  private static double slope(JudgedDifferences judged, double inverse) {
    double sum = 0;
    for (int i = 0; i < judged.size(); i++) {
      double difference = judged.difference(i);
      sum += difference * (1 / (1 + Math.exp(-inverse * difference)) - judged.share(i));
    }
    return sum;
  }
}
