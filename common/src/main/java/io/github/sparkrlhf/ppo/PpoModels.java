package io.github.sparkrlhf.ppo;

import io.github.sparkrlhf.lm.LanguageModel;
import io.github.sparkrlhf.lm.TransformerConfig;
import io.github.sparkrlhf.spark.JobFailure;
import io.github.sparkrlhf.training.Trainables;
import java.io.Serializable;
import java.util.List;

/**
 * The networks that are trained, and their place in the one flat weight array: the policy first,
 * the critic, if it is a network of its own, behind it.
 *
 * @param policy a causal language model; if it also has a scalar head, that is the critic
 * @param critic a trunk of its own with a scalar head; null without one
 */
record PpoModels(TransformerConfig policy, TransformerConfig critic) implements Serializable {
  private static final long serialVersionUID = 1L;

  /** The policy's place among the networks. */
  static final int POLICY = 0;

  /** The critic's place among the networks. */
  static final int CRITIC = 1;

  /**
   * Those of a training.
   *
   * @throws JobFailure usage, if the critic's tokenizer is not the policy's
   * @throws IllegalArgumentException if they are not the networks that the algorithm needs
   */
  static PpoModels of(Trainables networks, Algorithm algorithm) {
    LanguageModel policy = networks.initialModel(POLICY);
    boolean shared = policy.config().head() == TransformerConfig.Head.CAUSAL_LM_AND_SCORE;
    int expected = algorithm.needsCritic() && !shared ? 2 : 1;
    if (networks.count() != expected || (shared && !algorithm.needsCritic())) {
      throw new IllegalArgumentException(networks.count() + " networks for " + algorithm);
    }
    if (expected == 1) {
      return new PpoModels(policy.config(), null);
    }
    LanguageModel critic = networks.initialModel(CRITIC);
    if (!policy.tokenizer().equals(critic.tokenizer())) {
      throw JobFailure.usage(
          "Cannot run PPO: policy and critic have different tokenizers, so the critic cannot read the policy's tokens");
    }
    return new PpoModels(policy.config(), critic.config());
  }

  /** The policy and, if there is one, the critic, each with its own head only. */
  static List<LanguageModel> trained(Trainables networks, float[] weights) {
    LanguageModel policy = networks.model(POLICY, weights);
    if (policy.config().head() == TransformerConfig.Head.CAUSAL_LM_AND_SCORE) {
      return List.of(
          policy.withHead(TransformerConfig.Head.CAUSAL_LM, 0),
          policy.withHead(TransformerConfig.Head.SEQUENCE_CLASSIFICATION, 0));
    }
    return networks.count() == 1
        ? List.of(policy)
        : List.of(policy, networks.model(CRITIC, weights));
  }

  int policySize() {
    return policy.layout().size();
  }

  boolean hasCritic() {
    return critic != null || sharesTrunk();
  }

  /** Whether the critic is a head on the policy's trunk. */
  boolean sharesTrunk() {
    return policy.head() == TransformerConfig.Head.CAUSAL_LM_AND_SCORE;
  }

  int size() {
    return critic == null ? policySize() : Math.addExact(policySize(), critic.layout().size());
  }

  /** Index of the first weight of a critic of its own. */
  int criticOffset() {
    return policySize();
  }
}
