package io.github.sparkrlhf.lm;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;

/** The operations of a decoder layer that run as one call each. For one thread at a time. */
final class FusedOps {
  private final TorchScript rmsNorm;
  private final TorchScript rotate;
  private final TorchScript causalAttention;
  private final TorchScript cachedAttention;
  private final TorchScript lastAttention;
  private final TorchScript swiGlu;
  private final TorchScript geluTanh;
  private final TorchScript crossEntropy;

  /**
   * Compiles them.
   *
   * @param manager owns them
   */
  FusedOps(NDManager manager) {
    rmsNorm = TorchScript.load(manager, "RmsNorm");
    rotate = TorchScript.load(manager, "Rotate");
    causalAttention = TorchScript.load(manager, "CausalAttention");
    cachedAttention = TorchScript.load(manager, "CachedAttention");
    lastAttention = TorchScript.load(manager, "LastAttention");
    swiGlu = TorchScript.load(manager, "SwiGlu");
    geluTanh = TorchScript.load(manager, "GeluTanh");
    crossEntropy = TorchScript.load(manager, "CrossEntropy");
  }

  /**
   * Root-mean-square norm (Zhang and Sennrich, 2019) over the last axis: x / √(mean(x²) + ε) · w.
   *
   * @param input {@code [..., hidden]}
   * @param weight {@code [hidden]}
   * @param epsilon a scalar array
   */
  NDArray rmsNorm(NDArray input, NDArray weight, NDArray epsilon, boolean training) {
    return rmsNorm.apply(training, input, weight, epsilon);
  }

  /**
   * Rotates the two halves of each head by its position (Su et al., 2021): x · cos + swapped(x) ·
   * sin.
   *
   * @param heads {@code [rows, time, heads, head size]}
   * @param cosine {@code [rows or 1, time, 1, head size]}, both halves the same
   * @param sine likewise, the first half negated
   */
  NDArray rotate(NDArray heads, NDArray cosine, NDArray sine, boolean training) {
    return rotate.apply(training, heads, cosine, sine);
  }

  /**
   * Scaled dot-product attention in which no position sees a later one.
   *
   * @param query {@code [rows, time, heads, head size]}
   * @param key {@code [rows, time, key/value heads, head size]}
   * @param value the same
   * @return {@code [rows, time, heads · head size]}
   */
  NDArray causalAttention(NDArray query, NDArray key, NDArray value, boolean training) {
    return causalAttention.apply(training, query, key, value);
  }

  /**
   * Attention of one new position per row over all positions so far; its key and value are written
   * into the cache first.
   *
   * @param query {@code [rows, 1, heads, head size]}
   * @param key {@code [rows, 1, key/value heads, head size]}
   * @param value the same
   * @param cache keys and values so far
   * @param step positions and mask of the rows
   * @return {@code [rows, 1, heads · head size]}
   */
  NDArray cachedAttention(
      NDArray query, NDArray key, NDArray value, KeyValueCache.Layer cache, AttentionContext step) {
    return cachedAttention.apply(
        false, query, key, value, cache.keys(), cache.values(), step.ids(), step.mask());
  }

  /**
   * Attention of the last position of each row over its positions.
   *
   * @param query {@code [rows, 1, heads, head size]}
   * @param key {@code [rows, time, key/value heads, head size]}
   * @param value the same
   * @param mask additive, {@code [rows, 1, 1, time]}
   * @return {@code [rows, 1, heads · head size]}
   */
  NDArray lastAttention(NDArray query, NDArray key, NDArray value, NDArray mask) {
    return lastAttention.apply(false, query, key, value, mask);
  }

  /**
   * The gate of SwiGLU (Shazeer, 2020): silu(gate) · up.
   *
   * @param gate {@code [..., intermediate]}
   * @param up the same
   */
  NDArray swiGlu(NDArray gate, NDArray up, boolean training) {
    return swiGlu.apply(training, gate, up);
  }

  /** ½x(1 + tanh(√(2/π)(x + 0.044715x³))) (Hendrycks and Gimpel, 2016) of each number. */
  NDArray geluTanh(NDArray input, boolean training) {
    return geluTanh.apply(training, input);
  }

  /**
   * The sum of −log softmax(h·Wᵀ)[label], some rows of logits at a time, which then stay in the
   * processor's cache.
   *
   * @param hidden {@code [rows, hidden]}
   * @param weight {@code [vocabulary, hidden]}
   * @param labels int64 {@code [rows]}
   * @return a scalar
   */
  NDArray crossEntropy(NDArray hidden, NDArray weight, NDArray labels, boolean training) {
    return crossEntropy.apply(training, hidden, weight, labels);
  }
}
