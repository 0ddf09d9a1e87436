package io.github.sparkrlhf.ppo;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.types.DataType;
import io.github.sparkrlhf.lm.Scalars;

/**
 * The losses of {@link PpoLoss} as differentiable sums over tokens. All arrays are {@code [tokens]}
 * of a micro-batch.
 */
final class TensorLoss {
  private TensorLoss() {}

  /** ρ = exp(log π − log π_old), the exponent clamped. */
  static NDArray ratio(NDArray logProbabilities, NDArray oldLogProbabilities) {
    return exponential(logProbabilities.sub(oldLogProbabilities));
  }

  /**
   * The ratio of each token's response.
   *
   * @param shares {@code [responses, tokens]}, what the log-ratio of a token counts in that of its
   *     response, 0 in all others
   * @param members {@code [tokens, responses]}, 1 where a token belongs to a response, 0 elsewhere
   */
  static NDArray responseRatio(
      NDArray logProbabilities, NDArray oldLogProbabilities, NDArray shares, NDArray members) {
    NDArray logRatio = logProbabilities.sub(oldLogProbabilities).reshape(-1, 1);
    return members.matMul(exponential(shares.matMul(logRatio))).reshape(-1);
  }

  private static NDArray exponential(NDArray exponent) {
    return exponent.clip(-PpoLoss.MAX_EXPONENT, PpoLoss.MAX_EXPONENT).exp();
  }

  /**
   * max(−Aρ, −A·clip(ρ, 1 − ε, 1 + ε)) of each token; with a dual clip at most −A·c where A is
   * negative.
   */
  static NDArray policy(NDArray ratio, NDArray advantages, PpoLoss.Clip clip) {
    NDArray loss = advantages.mul(ratio).minimum(clippedObjective(ratio, advantages, clip)).neg();
    return clip.isDual() ? loss.minimum(dualBound(advantages, clip)) : loss;
  }

  /** A·clip(ρ, 1 − ε, 1 + ε) of each token. */
  static NDArray clippedObjective(NDArray ratio, NDArray advantages, PpoLoss.Clip clip) {
    return advantages.mul(ratio.clip(1 - clip.low(), 1 + clip.high()));
  }

  /** −A·c where A is negative, and more than any loss elsewhere. Only for a dual clip. */
  static NDArray dualBound(NDArray advantages, PpoLoss.Clip clip) {
    NDManager manager = advantages.getManager();
    NDArray bound = advantages.mul(Scalars.of(manager, (float) -clip.dual()));
    return bound.maximum(
        advantages
            .gte(Scalars.of(manager, 0))
            .toType(DataType.FLOAT32, false)
            .mul(Scalars.of(manager, Float.MAX_VALUE)));
  }

  /**
   * The estimates of the divergence from the reference, one per token.
   *
   * @throws IllegalArgumentException for {@link KlEstimator#K1}, which has no useful gradient
   */
  static NDArray kl(NDArray logProbabilities, NDArray reference, KlEstimator estimator) {
    NDArray logRatio = logProbabilities.sub(reference);
    NDManager manager = logRatio.getManager();
    return switch (estimator) {
      case K1 -> throw new IllegalArgumentException("the KL in a loss cannot be K1");
      case K2 -> logRatio.square().mul(Scalars.of(manager, 0.5f));
      case K3 -> exponential(logRatio.neg()).sub(Scalars.of(manager, 1)).add(logRatio);
    };
  }

  /** ½·max((V − R)², (clip(V, V_old ± ε) − R)²) of each token. */
  static NDArray value(NDArray values, NDArray oldValues, NDArray returns, PpoLoss.Clip clip) {
    NDArray clipped = clippedSquare(values, oldValues, returns, clip);
    return values.sub(returns).square().maximum(clipped).mul(Scalars.of(values.getManager(), 0.5f));
  }

  /** (clip(V, V_old ± ε) − R)² of each token. */
  static NDArray clippedSquare(
      NDArray values, NDArray oldValues, NDArray returns, PpoLoss.Clip clip) {
    // Not old + clip(V − old): where V is within the range it must stay V to the last bit, or
    // rounding alone makes the clipped term the larger one.
    NDArray lowest = oldValues.sub((float) clip.value());
    NDArray highest = oldValues.add((float) clip.value());
    NDArray near = values.maximum(lowest).minimum(highest);
    return near.sub(returns).square();
  }

  /**
   * The entropy of each distribution, in nats.
   *
   * @param logDistribution {@code [tokens, vocabulary]}
   */
  static NDArray entropy(NDArray logDistribution) {
    return logDistribution.exp().mul(logDistribution).sum(new int[] {1}).neg();
  }
}
