package io.github.sparkrlhf.ppo;

/**
 * Estimators of the KL divergence to the reference policy from one sampled token (Schulman,
 * "Approximating KL divergence", 2020), with l = log π_old(y) − log π_ref(y). The mean of each over
 * samples of π_old estimates the divergence; they differ in variance and sign.
 */
public enum KlEstimator {
  /**
   * l: unbiased, the classical choice inside the reward; single tokens may be negative. Of no use
   * in a loss: the expectation of its gradient is 0.
   */
  K1 {
    @Override
    public double of(double logRatio) {
      return logRatio;
    }

    @Override
    double slope(double logRatio) {
      return 1;
    }

    @Override
    public boolean hasGradient() {
      return false;
    }
  },
  /** l²/2: biased, small variance; as a loss term its gradient is the right one. */
  K2 {
    @Override
    public double of(double logRatio) {
      return logRatio * logRatio / 2;
    }

    @Override
    double slope(double logRatio) {
      return logRatio;
    }
  },
  /** exp(−l) − 1 + l: unbiased, never negative. The exponent is clamped to ±20. */
  K3 {
    @Override
    public double of(double logRatio) {
      return Math.exp(PpoLoss.clampExponent(-logRatio)) - 1 + logRatio;
    }

    @Override
    double slope(double logRatio) {
      boolean clamped = Math.abs(logRatio) > PpoLoss.MAX_EXPONENT;
      return clamped ? 1 : 1 - Math.exp(-logRatio);
    }
  };

  /**
   * The estimate from one token.
   *
   * @param logRatio l = log π_old(y) − log π_ref(y)
   * @return nats
   */
  public abstract double of(double logRatio);

  /** The derivative of {@link #of}. */
  abstract double slope(double logRatio);

  /** Whether its gradient, as that of a loss, leads towards the reference policy. */
  public boolean hasGradient() {
    return true;
  }

  /**
   * The estimates of one response.
   *
   * @param logprobs log π_old(y_t), [tokens]
   * @param refLogprobs log π_ref(y_t), [tokens]
   * @param length the number of valid tokens
   * @return [length]
   */
  public final double[] perToken(float[] logprobs, float[] refLogprobs, int length) {
    double[] kl = new double[length];
    for (int t = 0; t < length; t++) {
      kl[t] = of((double) logprobs[t] - refLogprobs[t]);
    }
    return kl;
  }
}
