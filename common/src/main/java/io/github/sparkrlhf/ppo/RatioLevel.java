package io.github.sparkrlhf.ppo;

/** Over how many tokens a probability ratio ρ, and hence its clipping, goes. */
public enum RatioLevel {
  /** Each token has its own: ρ_t = π(y_t)/π_old(y_t). */
  TOKEN,
  /** One of the whole response: ρ = π(y)/π_old(y), the product over its tokens. */
  RESPONSE,
  /** The geometric mean over the response's tokens (GSPO, Zheng et al., 2025, equation 7). */
  RESPONSE_MEAN;

  /**
   * What the log-ratio of each token counts in that of its response.
   *
   * @param length tokens of the response
   */
  double share(int length) {
    return this == RESPONSE_MEAN ? 1.0 / length : 1;
  }
}
