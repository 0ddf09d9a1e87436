package io.github.sparkrlhf.ppo;

import io.github.sparkrlhf.lm.TransformerConfig;
import java.io.Serializable;

/**
 * The two networks that PPO trains, and their place in the one flat weight array: the policy first,
 * the critic behind it.
 *
 * @param policy a causal language model
 * @param critic a trunk with a scalar head
 */
record PpoModels(TransformerConfig policy, TransformerConfig critic) implements Serializable {
  private static final long serialVersionUID = 1L;

  /** The policy's place among the networks. */
  static final int POLICY = 0;

  /** The critic's place among the networks. */
  static final int CRITIC = 1;

  int policySize() {
    return policy.layout().size();
  }

  int size() {
    return Math.addExact(policySize(), critic.layout().size());
  }

  /** Index of the critic's first weight. */
  int criticOffset() {
    return policySize();
  }
}
