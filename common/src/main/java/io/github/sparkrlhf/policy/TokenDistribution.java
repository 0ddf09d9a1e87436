package io.github.sparkrlhf.policy;

/** The distribution of the next token: softmax of the logits over the temperature. */
final class TokenDistribution {
  private final float[] logits;
  private final int offset;
  private final int size;
  private final double temperature;
  private final int largest;
  private final double total;

  private TokenDistribution(
      float[] logits, int offset, int size, double temperature, int largest, double total) {
    this.logits = logits;
    this.offset = offset;
    this.size = size;
    this.temperature = temperature;
    this.largest = largest;
    this.total = total;
  }

  /**
   * The distribution of one row of logits.
   *
   * @param temperature the logits are divided by it; 0 puts all mass on the largest
   */
  static TokenDistribution of(float[] logits, int offset, int size, double temperature) {
    int largest = 0;
    for (int i = 1; i < size; i++) {
      if (logits[offset + i] > logits[offset + largest]) {
        largest = i;
      }
    }
    double total = 1;
    if (temperature > 0) {
      total = 0;
      for (int i = 0; i < size; i++) {
        total += weight(logits[offset + i], logits[offset + largest], temperature);
      }
    }
    return new TokenDistribution(logits, offset, size, temperature, largest, total);
  }

  private static double weight(float logit, float maximum, double temperature) {
    // StrictMath: the same bits on every platform.
    return StrictMath.exp(((double) logit - maximum) / temperature);
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
      left -= weight(logits[offset + i], logits[offset + largest], temperature);
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
