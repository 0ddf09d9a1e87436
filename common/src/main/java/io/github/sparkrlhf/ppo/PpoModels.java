package io.github.sparkrlhf.ppo;

import io.github.sparkrlhf.lm.TransformerConfig;
import java.io.Serializable;

/**
 * The networks that are trained, and their place in the one flat weight array: the policy first,
 * the critic, if there is one, behind it.
 *
 * @param policy a causal language model
 * @param critic a trunk with a scalar head; null without a critic
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

  boolean hasCritic() {
    return critic != null;
  }

  int size() {
    return hasCritic() ? Math.addExact(policySize(), critic.layout().size()) : policySize();
  }

  /** Index of the critic's first weight. */
  int criticOffset() {
    return policySize();
  }
}
