package io.github.sparkrlhf.ppo;

import java.io.Serializable;
import java.util.Arrays;

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
   * @param dual above 1, the most that a ratio counts where the advantage is negative (Ye et al.,
   *     2020, equation 5); infinite for no bound
   */
  public record Clip(double low, double high, double value, double dual) implements Serializable {
    /** The customary 0.2 everywhere. */
    public static final Clip DEFAULT = new Clip(0.2, 0.2, 0.2);

    /** Checks the ranges. */
    public Clip {
      if (!(low > 0 && low <= 1 && high > 0 && value > 0 && dual > 1)) {
        throw new IllegalArgumentException(
            "clip ranges must be positive, and a dual clip above 1: %s, %s, %s, %s"
                .formatted(low, high, value, dual));
      }
    }

    /** Without dual clip. */
    public Clip(double low, double high, double value) {
      this(low, high, value, Double.POSITIVE_INFINITY);
    }

    /** Whether ratios of negative advantages are bounded, too. */
    boolean isDual() {
      return dual < Double.POSITIVE_INFINITY;
    }
  }

  /**
   * Which tokens there are, and what each weighs.
   *
   * @param weights of the tokens' losses, [rows][tokens]; 0 beyond the lengths
   * @param divisor of the weighted sum
   */
  record Weighting(double[][] weights, double divisor) {
    /**
     * All tokens alike.
     *
     * @param lengths the number of valid tokens, [rows]
     * @param tokenCount valid tokens of the whole minibatch
     */
    static Weighting tokens(int[] lengths, double tokenCount) {
      return of(Averaging.TOKENS, lengths, 1, tokenCount);
    }

    /**
     * Weights of an averaging.
     *
     * @param lengths the number of valid tokens, [rows]
     * @param divisor the {@link Averaging#count} of the whole minibatch
     */
    static Weighting of(Averaging averaging, int[] lengths, int maxNewTokens, double divisor) {
      double[][] weights = new double[lengths.length][];
      for (int row = 0; row < lengths.length; row++) {
        weights[row] = new double[lengths[row]];
        Arrays.fill(weights[row], averaging.weight(lengths[row], maxNewTokens));
      }
      return new Weighting(weights, divisor);
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
   * The clipped policy loss of some rows of a minibatch, one ratio per token, all tokens alike.
   *
   * @param logprobs log π(y_t) of the policy in training, [rows][tokens]
   * @param oldLogprobs log π_old(y_t) of the policy that sampled, [rows][tokens]
   * @param advantages A_t, [rows][tokens]
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
    return policy(
        logprobs,
        oldLogprobs,
        advantages,
        clip,
        RatioLevel.TOKEN,
        Weighting.tokens(lengths, tokenCount));
  }

  /**
   * The clipped policy loss of some rows of a minibatch. All metrics are weighted as the loss is.
   *
   * @param logprobs log π(y_t) of the policy in training, [rows][tokens]
   * @param oldLogprobs log π_old(y_t) of the policy that sampled, [rows][tokens]
   * @param advantages A_t, [rows][tokens]
   */
  static Policy policy(
      float[][] logprobs,
      float[][] oldLogprobs,
      float[][] advantages,
      Clip clip,
      RatioLevel level,
      Weighting weighting) {
    Sums sums = new Sums();
    double[][] gradient = new double[logprobs.length][];
    for (int row = 0; row < logprobs.length; row++) {
      gradient[row] = new double[logprobs[row].length];
      double[] weights = weighting.weights()[row];
      double share = level.share(weights.length);
      double ofResponse = 0;
      for (int t = 0; t < weights.length; t++) {
        ofResponse += share * ((double) logprobs[row][t] - oldLogprobs[row][t]);
      }
      double slopes = 0;
      for (int t = 0; t < weights.length; t++) {
        double difference = (double) logprobs[row][t] - oldLogprobs[row][t];
        double exponent = level == RatioLevel.TOKEN ? difference : ofResponse;
        sums.squares += weights[t] * difference * difference;
        double slope = weights[t] * sums.add(exponent, advantages[row][t], clip, weights[t]);
        slopes += slope;
        gradient[row][t] = slope / weighting.divisor();
      }
      if (level != RatioLevel.TOKEN) {
        Arrays.fill(gradient[row], 0, weights.length, share * slopes / weighting.divisor());
      }
    }
    double divisor = weighting.divisor();
    return new Policy(
        sums.loss / divisor,
        sums.clipped / divisor,
        sums.squares / (2 * divisor),
        sums.ratios / divisor,
        gradient);
  }

  /** What the policy loss adds up. */
  private static final class Sums {
    double loss;
    double clipped;
    double squares;
    double ratios;

    /** Adds a token; returns the derivative of its loss, before its weight, by the exponent. */
    double add(double exponent, double advantage, Clip clip, double weight) {
      double ratio = Math.exp(clampExponent(exponent));
      double bounded = Math.max(1 - clip.low(), Math.min(1 + clip.high(), ratio));
      double free = -advantage * ratio;
      double limited = -advantage * bounded;
      double larger = Math.max(free, limited);
      boolean dual = clip.isDual() && advantage < 0 && larger > -advantage * clip.dual();
      loss += weight * (dual ? -advantage * clip.dual() : larger);
      ratios += weight * ratio;
      if (limited > free || dual) {
        clipped += weight;
        return 0;
      }
      return Math.abs(exponent) <= MAX_EXPONENT ? free : 0;
    }
  }

  /**
   * The KL penalty as a part of the loss.
   *
   * @param loss weighted mean of the estimates
   * @param gradient ∂loss/∂log π(y_t), [rows][tokens], 0 beyond the lengths
   */
  record Kl(double loss, double[][] gradient) {}

  /**
   * The divergence of the policy in training from the reference.
   *
   * @param logprobs log π(y_t), [rows][tokens]
   * @param reference log π_ref(y_t), [rows][tokens]
   */
  static Kl kl(
      float[][] logprobs, float[][] reference, KlEstimator estimator, Weighting weighting) {
    double loss = 0;
    double[][] gradient = new double[logprobs.length][];
    for (int row = 0; row < logprobs.length; row++) {
      gradient[row] = new double[logprobs[row].length];
      double[] weights = weighting.weights()[row];
      for (int t = 0; t < weights.length; t++) {
        double logRatio = (double) logprobs[row][t] - reference[row][t];
        loss += weights[t] * estimator.of(logRatio);
        gradient[row][t] = weights[t] * estimator.slope(logRatio) / weighting.divisor();
      }
    }
    return new Kl(loss / weighting.divisor(), gradient);
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
