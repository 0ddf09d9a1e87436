package io.github.sparkrlhf.ppo;

import io.github.sparkrlhf.policy.Rollout;
import io.github.sparkrlhf.training.Example;
import io.github.sparkrlhf.training.TextExample;

/**
 * A response to learn from. The arrays have one entry per response token and stay fixed during the
 * update; they are null before the first forward pass.
 *
 * @param id of the rollout
 * @param prompt prompt token ids
 * @param response response token ids
 * @param oldLogProbabilities log π_old(y_t) in nats
 * @param reference log π_ref(y_t) in nats
 * @param oldValues V_t of the critic before the update; null without a critic
 * @param advantages A_t
 * @param returns R_t; null without a critic
 */
record PpoExample(
    String id,
    int[] prompt,
    int[] response,
    float[] oldLogProbabilities,
    float[] reference,
    float[] oldValues,
    float[] advantages,
    float[] returns)
    implements Example {
  private static final long serialVersionUID = 1L;

  static PpoExample of(Rollout rollout) {
    return new PpoExample(
        rollout.id(), rollout.prompt(), rollout.response(), null, null, null, null, null);
  }

  /** This response with the networks' outputs on it, and what they are to learn from it. */
  PpoExample with(ForwardPass.Outputs outputs, float[] newAdvantages, float[] newReturns) {
    return new PpoExample(
        id,
        prompt,
        response,
        outputs.logProbabilities(),
        outputs.reference(),
        outputs.values(),
        newAdvantages,
        newReturns);
  }

  @Override
  public int length() {
    return prompt.length + response.length;
  }

  /** Prompt followed by response. */
  int[] sequence() {
    return TextExample.concatenated(prompt, response);
  }
}
