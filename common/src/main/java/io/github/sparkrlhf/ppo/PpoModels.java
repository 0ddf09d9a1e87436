package io.github.sparkrlhf.ppo;

import io.github.sparkrlhf.lm.TransformerConfig;
import java.io.Serializable;
import java.util.Arrays;

/**
 * The two networks that PPO trains, and their place in the one flat weight array: the policy first,
 * the critic behind it.
 *
 * @param policy a causal language model
 * @param critic a trunk with a scalar head
 */
record PpoModels(TransformerConfig policy, TransformerConfig critic) implements Serializable {
  private static final long serialVersionUID = 1L;

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

  float[] concatenated(float[] policyWeights, float[] criticWeights) {
    float[] weights = Arrays.copyOf(policyWeights, size());
    System.arraycopy(criticWeights, 0, weights, criticOffset(), criticWeights.length);
    return weights;
  }

  float[] policyWeights(float[] weights) {
    return Arrays.copyOf(weights, policySize());
  }

  float[] criticWeights(float[] weights) {
    return Arrays.copyOfRange(weights, criticOffset(), weights.length);
  }
}
