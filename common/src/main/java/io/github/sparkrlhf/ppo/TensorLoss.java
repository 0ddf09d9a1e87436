package io.github.sparkrlhf.ppo;

import ai.djl.ndarray.NDArray;
import io.github.sparkrlhf.lm.Scalars;

/**
 * The losses of {@link PpoLoss} as differentiable sums over tokens. All arrays are {@code [tokens]}
 * of a micro-batch.
 */
final class TensorLoss {
  private TensorLoss() {}

  /** ρ = exp(log π − log π_old), the exponent clamped. */
  static NDArray ratio(NDArray logProbabilities, NDArray oldLogProbabilities) {
    return logProbabilities
        .sub(oldLogProbabilities)
        .clip(-PpoLoss.MAX_EXPONENT, PpoLoss.MAX_EXPONENT)
        .exp();
  }

  /** max(−Aρ, −A·clip(ρ, 1 − ε, 1 + ε)) of each token. */
  static NDArray policy(NDArray ratio, NDArray advantages, PpoLoss.Clip clip) {
    return advantages.mul(ratio).minimum(clippedObjective(ratio, advantages, clip)).neg();
  }

  /** A·clip(ρ, 1 − ε, 1 + ε) of each token. */
  static NDArray clippedObjective(NDArray ratio, NDArray advantages, PpoLoss.Clip clip) {
    return advantages.mul(ratio.clip(1 - clip.low(), 1 + clip.high()));
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
