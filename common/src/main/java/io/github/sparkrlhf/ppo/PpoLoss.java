package io.github.sparkrlhf.ppo;

import java.io.Serializable;

/**
 * The losses of proximal policy optimisation (Schulman et al., 2017, equation 7) with their
 * gradients, in double precision: the reference that the differentiable version is held against.
 *
 * <p>All means are sums divided by a token count that the caller gives, that of the whole
 * minibatch; so the results of lanes add up to those of the minibatch.
 */
public final class PpoLoss {
  /** Bound of exponents: e²⁰ is far outside of any clip range and far inside of a float. */
  static final double MAX_EXPONENT = 20;

  /**
   * Clip ranges.
   *
   * @param low ε below 1 for the ratio
   * @param high ε above 1 for the ratio; equal to {@code low} but in DAPO (Yu et al., 2025)
   * @param value ε_v for the value around the one of the rollout
   */
  public record Clip(double low, double high, double value) implements Serializable {
    /** The customary 0.2 everywhere. */
    public static final Clip DEFAULT = new Clip(0.2, 0.2, 0.2);

    /** Checks the ranges. */
    public Clip {
      if (!(low > 0 && low <= 1 && high > 0 && value > 0)) {
        throw new IllegalArgumentException(
            "clip ranges must be positive: " + low + ", " + high + ", " + value);
      }
    }
  }

  /**
   * The policy's part.
   *
   * @param loss mean of max(−Aρ, −A·clip(ρ, 1 − ε, 1 + ε))
   * @param clipFraction share of tokens at which the clipped term is the larger one
   * @param approxKl ½·mean((log π − log π_old)²)
   * @param ratio mean of ρ
   * @param gradient ∂loss/∂log π(y_t), [rows][tokens], 0 beyond the lengths
   */
  public record Policy(
      double loss, double clipFraction, double approxKl, double ratio, double[][] gradient) {}

  /**
   * The value function's part.
   *
   * @param loss ½·mean of max((V − R)², (clip(V, V_old ± ε_v) − R)²)
   * @param clipFraction share of tokens at which the clipped term is the larger one
   * @param gradient ∂loss/∂V_t, [rows][tokens], 0 beyond the lengths
   */
  public record Value(double loss, double clipFraction, double[][] gradient) {}

  private PpoLoss() {}

  /** The exponent within ±20, where exp and its gradient are finite. */
  static double clampExponent(double exponent) {
    return Math.max(-MAX_EXPONENT, Math.min(MAX_EXPONENT, exponent));
  }

  /**
   * The clipped policy loss of some rows of a minibatch.
   *
   * @param logprobs log π(y_t) of the policy in training, [rows][tokens]
   * @param oldLogprobs log π_old(y_t) of the policy that sampled, [rows][tokens]
   * @param advantages whitened A_t, [rows][tokens]
   * @param lengths the number of valid tokens, [rows]
   * @param tokenCount valid tokens of the whole minibatch
   */
  public static Policy policy(
      float[][] logprobs,
      float[][] oldLogprobs,
      float[][] advantages,
      int[] lengths,
      Clip clip,
      double tokenCount) {
    double loss = 0;
    double clipped = 0;
    double squares = 0;
    double ratios = 0;
    double[][] gradient = new double[logprobs.length][];
    for (int row = 0; row < logprobs.length; row++) {
      gradient[row] = new double[logprobs[row].length];
      for (int t = 0; t < lengths[row]; t++) {
        double advantage = advantages[row][t];
        double difference = (double) logprobs[row][t] - oldLogprobs[row][t];
        double ratio = Math.exp(clampExponent(difference));
        double bounded = Math.max(1 - clip.low(), Math.min(1 + clip.high(), ratio));
        double free = -advantage * ratio;
        double limited = -advantage * bounded;
        loss += Math.max(free, limited);
        squares += difference * difference;
        ratios += ratio;
        if (limited > free) {
          clipped++;
        } else if (Math.abs(difference) <= MAX_EXPONENT) {
          gradient[row][t] = free / tokenCount;
        }
      }
    }
    return new Policy(
        loss / tokenCount,
        clipped / tokenCount,
        squares / (2 * tokenCount),
        ratios / tokenCount,
        gradient);
  }

  /**
   * The clipped value loss of some rows of a minibatch.
   *
   * @param values V_t of the critic in training, [rows][tokens]
   * @param oldValues V_t of the rollout, [rows][tokens]
   * @param returns R_t, [rows][tokens]
   * @param lengths the number of valid tokens, [rows]
   * @param tokenCount valid tokens of the whole minibatch
   */
  public static Value value(
      float[][] values,
      float[][] oldValues,
      float[][] returns,
      int[] lengths,
      Clip clip,
      double tokenCount) {
    double loss = 0;
    double clipped = 0;
    double[][] gradient = new double[values.length][];
    for (int row = 0; row < values.length; row++) {
      gradient[row] = new double[values[row].length];
      for (int t = 0; t < lengths[row]; t++) {
        double value = values[row][t];
        double old = oldValues[row][t];
        double bounded = Math.max(old - clip.value(), Math.min(old + clip.value(), value));
        double free = value - returns[row][t];
        double limited = bounded - returns[row][t];
        loss += Math.max(free * free, limited * limited);
        if (limited * limited > free * free) {
          clipped++;
        } else {
          gradient[row][t] = free / tokenCount;
        }
      }
    }
    return new Value(loss / (2 * tokenCount), clipped / tokenCount, gradient);
  }
}
