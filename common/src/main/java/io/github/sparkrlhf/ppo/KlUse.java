package io.github.sparkrlhf.ppo;

/** Where the divergence from the reference policy is held against the policy. */
public enum KlUse {
  /** β·KL_t is subtracted from the rewards of the tokens; it has no gradient of its own. */
  REWARD,
  /** β·KL_t of the policy in training is added to the loss of the tokens, and differentiated. */
  LOSS
}
