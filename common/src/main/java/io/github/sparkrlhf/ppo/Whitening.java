package io.github.sparkrlhf.ppo;

/**
 * Shifting and scaling to mean 0 and variance 1 over all valid tokens of a whole batch: (x −
 * mean)/√(variance + 1e-8) with the unbiased variance, as in {@code trl}.
 */
public final class Whitening {
  private static final double EPSILON = 1e-8;

  private Whitening() {}

  /**
   * Mean and unbiased variance of valid tokens.
   *
   * @param count the number of tokens
   * @param variance 0 for fewer than two tokens
   */
  public record Moments(long count, double mean, double variance) {
    /**
     * The moments of the first {@code lengths[row]} numbers of each row.
     *
     * @param values [rows][tokens]
     * @param lengths [rows]
     */
    public static Moments of(float[][] values, int[] lengths) {
      long count = 0;
      double sum = 0;
      for (int row = 0; row < values.length; row++) {
        count += lengths[row];
        for (int t = 0; t < lengths[row]; t++) {
          sum += values[row][t];
        }
      }
      if (count == 0) {
        return new Moments(0, 0, 0);
      }
      double mean = sum / count;
      double squares = 0;
      for (int row = 0; row < values.length; row++) {
        for (int t = 0; t < lengths[row]; t++) {
          squares += (values[row][t] - mean) * (values[row][t] - mean);
        }
      }
      return new Moments(count, mean, count < 2 ? 0 : squares / (count - 1));
    }

    private double scale() {
      return 1 / Math.sqrt(variance + EPSILON);
    }
  }

  /**
   * Mean 0, variance 1; used on advantages.
   *
   * @param values [rows][tokens]
   * @param lengths the number of valid tokens, [rows]
   * @return [rows][tokens], 0 beyond the lengths
   */
  public static float[][] whiten(float[][] values, int[] lengths) {
    return whiten(values, lengths, Moments.of(values, lengths));
  }

  /**
   * {@link #whiten(float[][], int[])} for some rows of a batch, with the moments of all of it.
   *
   * @param values [rows][tokens]
   * @param lengths the number of valid tokens, [rows]
   * @param moments of the whole batch
   * @return [rows][tokens], 0 beyond the lengths
   */
  public static float[][] whiten(float[][] values, int[] lengths, Moments moments) {
    return transform(values, lengths, moments, 0);
  }

  /**
   * Variance 1, mean kept; used on rewards, whose sign matters.
   *
   * @param values [rows][tokens]
   * @param lengths the number of valid tokens, [rows]
   * @return [rows][tokens], 0 beyond the lengths
   */
  public static float[][] scaleKeepingMean(float[][] values, int[] lengths) {
    Moments moments = Moments.of(values, lengths);
    return transform(values, lengths, moments, moments.mean());
  }

  private static float[][] transform(
      float[][] values, int[] lengths, Moments moments, double newMean) {
    float[][] result = new float[values.length][];
    double scale = moments.scale();
    for (int row = 0; row < values.length; row++) {
      result[row] = new float[values[row].length];
      for (int t = 0; t < lengths[row]; t++) {
        result[row][t] = (float) ((values[row][t] - moments.mean()) * scale + newMean);
      }
    }
    return result;
  }
}
