package io.github.sparkrlhf.lm;

import ai.djl.ndarray.NDArray;

/** Root-mean-square norm (Zhang and Sennrich, 2019): x / √(mean(x²) + ε) · w. */
final class RmsNorm {
  private static final int[] LAST_AXIS = {-1};

  private RmsNorm() {}

  /**
   * Normalises over the last axis.
   *
   * @param input {@code [..., hidden]}
   * @param weight {@code [hidden]}
   * @param epsilon a scalar array
   * @return {@code [..., hidden]}
   */
  static NDArray apply(NDArray input, NDArray weight, NDArray epsilon) {
    NDArray rootMeanSquare = input.square().mean(LAST_AXIS, true).add(epsilon).sqrt();
    return input.div(rootMeanSquare).mul(weight);
  }
}
