package io.github.sparkrlhf.ppo;

import java.util.Arrays;

/**
 * An algorithm is an advantage estimator and, by default, a form of the loss and a place of the KL
 * penalty. Sampling, scoring, rounds and metrics are the same for all.
 */
public enum Algorithm {
  /** Generalised advantages of a critic (Schulman et al., 2017; Ziegler et al., 2019). */
  PPO("ppo", RatioLevel.TOKEN, Averaging.TOKENS, KlUse.REWARD) {
    @Override
    public boolean needsCritic() {
      return true;
    }

    @Override
    Estimate estimate(Rewards rewards) {
      Advantages.Gae gae =
          Advantages.gae(
              rewards.tokens(),
              rewards.values(),
              rewards.lengths(),
              rewards.gamma(),
              rewards.lambda());
      return new Estimate(
          Whitening.whiten(gae.advantages(), rewards.lengths()), gae.returns(), true);
    }
  },
  /** REINFORCE leave-one-out (Ahmadian et al., 2024). */
  RLOO("rloo", RatioLevel.RESPONSE, Averaging.RESPONSES, KlUse.REWARD) {
    @Override
    public boolean needsGroups() {
      return true;
    }

    @Override
    Estimate estimate(Rewards rewards) {
      return rewards.eachToken(Advantages.rloo(rewards.totals(), rewards.groupSize()));
    }
  },
  /** Group-relative advantages (Shao et al., 2024). */
  GRPO("grpo", RatioLevel.TOKEN, Averaging.RESPONSES, KlUse.LOSS) {
    @Override
    public boolean needsGroups() {
      return true;
    }

    @Override
    Estimate estimate(Rewards rewards) {
      return rewards.eachToken(
          Advantages.grpo(rewards.totals(), rewards.groupSize(), Advantages.Scale.GROUP));
    }
  },
  /** GRPO without division by a deviation or a length (Liu et al., 2025). */
  DR_GRPO("dr-grpo", RatioLevel.TOKEN, Averaging.MAX_TOKENS, KlUse.LOSS) {
    @Override
    public boolean needsGroups() {
      return true;
    }

    @Override
    Estimate estimate(Rewards rewards) {
      return rewards.eachToken(
          Advantages.grpo(rewards.totals(), rewards.groupSize(), Advantages.Scale.NONE));
    }
  },
  /** Discounted returns, whitened over the batch (Hu, 2025). */
  REINFORCE_PLUS_PLUS("reinforce++", RatioLevel.TOKEN, Averaging.TOKENS, KlUse.REWARD) {
    @Override
    Estimate estimate(Rewards rewards) {
      float[][] returns =
          Advantages.discountedReturns(rewards.tokens(), rewards.lengths(), rewards.gamma());
      return new Estimate(Whitening.whiten(returns, rewards.lengths()), null, true);
    }
  };

  /**
   * What advantages are made of. Rows are responses, those to a prompt side by side.
   *
   * @param tokens r_t, [rows][tokens]
   * @param totals Σ_t r_t, [rows]
   * @param values V_t, [rows][tokens]; null without a critic
   * @param lengths [rows]
   * @param groupSize responses to a prompt
   * @param gamma discount γ
   * @param lambda of generalised advantage estimation
   */
  record Rewards(
      float[][] tokens,
      double[] totals,
      float[][] values,
      int[] lengths,
      int groupSize,
      double gamma,
      double lambda) {
    /** The advantage of a response for each of its tokens. */
    private Estimate eachToken(double[] advantages) {
      float[][] ofTokens = new float[lengths.length][];
      for (int row = 0; row < lengths.length; row++) {
        ofTokens[row] = new float[lengths[row]];
        Arrays.fill(ofTokens[row], (float) advantages[row]);
      }
      return new Estimate(ofTokens, null, false);
    }
  }

  /**
   * Advantages of tokens.
   *
   * @param advantages A_t, [rows][tokens]
   * @param returns R_t that the critic is fitted to, [rows][tokens]; null without a critic
   * @param white whether the advantages have mean 0 and variance 1
   */
  record Estimate(float[][] advantages, float[][] returns, boolean white) {}

  private final String label;
  private final RatioLevel ratio;
  private final Averaging averaging;
  private final KlUse klUse;

  Algorithm(String label, RatioLevel ratio, Averaging averaging, KlUse klUse) {
    this.label = label;
    this.ratio = ratio;
    this.averaging = averaging;
    this.klUse = klUse;
  }

  /** Whether it learns values beside the policy. */
  public boolean needsCritic() {
    return false;
  }

  /** Whether it compares the responses to a prompt, and so needs at least two. */
  public boolean needsGroups() {
    return false;
  }

  /** The ratio that its authors, or {@code trl}, use. */
  public RatioLevel ratio() {
    return ratio;
  }

  /** The mean that its authors, or {@code trl}, use. */
  public Averaging averaging() {
    return averaging;
  }

  /** Where its authors have the KL penalty. */
  public KlUse klUse() {
    return klUse;
  }

  abstract Estimate estimate(Rewards rewards);

  @Override
  public String toString() {
    return label;
  }
}
