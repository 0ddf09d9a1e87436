package io.github.sparkrlhf.policy;

import io.github.sparkrlhf.spark.JobFailure;

/**
 * The distribution of the next token: softmax of the logits over the temperature. Reused from token
 * to token. Computed by the same operations in the same order everywhere, so that the same logits
 * give the same token on every platform.
 */
final class TokenDistribution {
  private static final double LOG2_E = 1 / Math.log(2);
  private static final double LN2_HIGH = 0x1.62e42feep-1;
  private static final double LN2_LOW = 0x1.a39ef35793c76p-33;

  /** Below it a weight is 0: e⁻⁷⁰⁰ is the smallest power that is not subnormal, about. */
  private static final double LEAST_EXPONENT = -700;

  /** 1/k! from k = 8 down to 2: e^r for |r| ≤ ln 2 / 2 to 3e-10, finer than a float. */
  private static final double[] TAYLOR = taylor(8);

  private static final long EXPONENT_BIAS = 1023;
  private static final int MANTISSA_BITS = 52;

  private double[] weights = new double[0];
  private float[] logits;
  private int offset;
  private int size;
  private double temperature;
  private int largest;
  private double total;

  private static double[] taylor(int highest) {
    double[] coefficients = new double[highest - 1];
    double factorial = 1;
    for (int k = 2; k <= highest; k++) {
      factorial *= k;
      coefficients[highest - k] = 1 / factorial;
    }
    return coefficients;
  }

  /**
   * Makes it the distribution of one row of logits, which must not change while it is used.
   *
   * @param temperature the logits are divided by it; 0 puts all mass on the largest
   */
  void set(float[] logits, int offset, int size, double temperature) {
    this.logits = logits;
    this.offset = offset;
    this.size = size;
    this.temperature = temperature;
    largest = 0;
    for (int i = 1; i < size; i++) {
      if (logits[offset + i] > logits[offset + largest]) {
        largest = i;
      }
    }
    if (temperature > 0) {
      weigh();
    }
  }

  private void weigh() {
    if (weights.length < size) {
      weights = new double[size];
    }
    double maximum = logits[offset + largest];
    double scale = 1 / temperature;
    total = 0;
    for (int i = 0; i < size; i++) {
      double weight = exp((logits[offset + i] - maximum) * scale);
      weights[i] = weight;
      total += weight;
    }
    if (Double.isNaN(total)) {
      throw JobFailure.failure("Cannot sample: the model's logits are not numbers");
    }
  }

  /**
   * eˣ for x ≤ 0 in plain arithmetic: 2ᵏ·e^r with |r| ≤ ln 2 / 2 and the power series of e^r. To
   * 3e-10, relatively, and several times faster than {@link StrictMath#exp}.
   */
  static double exp(double x) {
    if (x <= LEAST_EXPONENT) {
      return 0;
    }
    long k = (long) (x * LOG2_E - 0.5);
    double r = x - k * LN2_HIGH - k * LN2_LOW;
    double series = TAYLOR[0];
    for (int i = 1; i < TAYLOR.length; i++) {
      series = series * r + TAYLOR[i];
    }
    series = series * r * r + r + 1;
    return series * Double.longBitsToDouble((k + EXPONENT_BIAS) << MANTISSA_BITS);
  }

  /**
   * The token at which the cumulative probability first exceeds u.
   *
   * @param u in (0, 1)
   */
  int draw(double u) {
    if (temperature == 0) {
      return largest;
    }
    double left = u * total;
    for (int i = 0; i < size; i++) {
      left -= weights[i];
      if (left < 0) {
        return i;
      }
    }
    // Only rounding leads here: the remainder of the mass is that of the most likely token.
    return largest;
  }

  /** The log-probability of a token in nats; 0 at temperature 0. */
  double logProbability(int token) {
    if (temperature == 0) {
      return 0;
    }
    double logit = ((double) logits[offset + token] - logits[offset + largest]) / temperature;
    return logit - StrictMath.log(total);
  }
}
