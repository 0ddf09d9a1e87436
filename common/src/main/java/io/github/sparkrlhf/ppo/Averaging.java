package io.github.sparkrlhf.ppo;

/** How the losses of tokens become one loss. Counts are those of the minibatch over all lanes. */
public enum Averaging {
  /** The mean over all tokens: long responses weigh more (PPO; DAPO, Yu et al., 2025). */
  TOKENS {
    @Override
    double weight(int length, int maxNewTokens) {
      return 1;
    }

    @Override
    double count(int responses, int tokens) {
      return tokens;
    }
  },
  /** The mean over responses of the mean over a response's tokens (GRPO, Shao et al., 2024). */
  RESPONSES {
    @Override
    double weight(int length, int maxNewTokens) {
      return 1.0 / length;
    }

    @Override
    double count(int responses, int tokens) {
      return responses;
    }
  },
  /**
   * The mean over responses of the sum over tokens divided by the most tokens that there can be, so
   * that a token weighs the same whatever the length (Dr. GRPO, Liu et al., 2025).
   */
  MAX_TOKENS {
    @Override
    double weight(int length, int maxNewTokens) {
      return 1.0 / maxNewTokens;
    }

    @Override
    double count(int responses, int tokens) {
      return responses;
    }
  };

  /**
   * What a token's loss is multiplied with before all are added up.
   *
   * @param length tokens of its response
   * @param maxNewTokens most tokens of a response
   */
  abstract double weight(int length, int maxNewTokens);

  /** What the sum is divided by. */
  abstract double count(int responses, int tokens);
}
