package io.github.sparkrlhf.ppo;

import io.github.sparkrlhf.spark.JobFailure;

/**
 * The rewards of a response's tokens: r_t = −β·KL_t, and the score on top of the last valid token
 * (Ziegler et al., 2019, equation 2; Stiennon et al., 2020).
 */
public final class TokenRewards {
  /** Rewards are floats; their sum may be off by a few units in the last place of its terms. */
  private static final double TOLERANCE = 1e-5;

  private TokenRewards() {}

  /**
   * The rewards of one response.
   *
   * @param kl KL_t from a {@link KlEstimator}, [tokens], valid tokens only, at least one
   * @param score of the whole response, after penalties
   * @param beta the KL coefficient β
   * @return [tokens]
   * @throws JobFailure if the sum of the rewards is not score − β·ΣKL_t, which a NaN anywhere
   *     brings about
   */
  public static float[] of(double[] kl, double score, double beta) {
    if (kl.length == 0) {
      throw new IllegalArgumentException("a response without tokens has no place for its score");
    }
    float[] rewards = new float[kl.length];
    for (int t = 0; t < kl.length; t++) {
      double reward = 0 - beta * kl[t];
      rewards[t] = (float) (t == kl.length - 1 ? reward + score : reward);
    }
    requireSum(rewards, kl, score, beta);
    return rewards;
  }

  /** Throws unless the rewards sum up to score − β·ΣKL_t. */
  static void requireSum(float[] rewards, double[] kl, double score, double beta) {
    double sum = 0;
    double expected = score;
    double magnitude = 1 + Math.abs(score);
    for (float reward : rewards) {
      sum += reward;
    }
    for (double token : kl) {
      expected -= beta * token;
      magnitude += Math.abs(beta * token);
    }
    if (!(Math.abs(sum - expected) <= TOLERANCE * magnitude)) {
      throw JobFailure.failure(
          "Cannot reward a response: its token rewards sum up to "
              + sum
              + " instead of score − β·KL = "
              + expected);
    }
  }
}
