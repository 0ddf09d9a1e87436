package io.github.sparkrlhf.feedback;

/**
 * The 95 % score interval of a proportion (Wilson, 1927): unlike the textbook interval it stays
 * inside [0, 1] and holds for small samples.
 *
 * @param low the lower end
 * @param high the upper end
 */
public record WilsonInterval(double low, double high) {
  /** The 97.5 % quantile of the standard normal distribution. */
  private static final double Z = 1.959963984540054;

  /**
   * The interval of {@code successes / n}.
   *
   * @param successes in {@code [0, n]}; a draw may count one half
   * @param n the number of trials; without any the interval is [0, 1]
   */
  public static WilsonInterval of(double successes, long n) {
    if (!(successes >= 0 && successes <= n)) {
      throw new IllegalArgumentException(
          "successes must lie in [0, %d]: %s".formatted(n, successes));
    }
    if (n == 0) {
      return new WilsonInterval(0, 1);
    }
    double proportion = successes / n;
    double spread = Z * Z / n;
    double centre = (proportion + spread / 2) / (1 + spread);
    double half = Math.sqrt(spread * (proportion * (1 - proportion) + spread / 4)) / (1 + spread);
    return new WilsonInterval(Math.max(0, centre - half), Math.min(1, centre + half));
  }
}
