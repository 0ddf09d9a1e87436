package io.github.sparkrlhf.ppo;

import io.github.sparkrlhf.spark.JobFailure;
import java.io.Serializable;

/**
 * Ends the epochs over a rollout once the policy has moved too far from the one that sampled it:
 * approx-KL above 1.5 × target (as in OpenAI's Spinning Up), asked before the step is applied.
 *
 * @param target nats per token; infinite never stops
 */
public record EarlyStop(double target) implements Serializable {
  private static final double SLACK = 1.5;

  /** Checks the range. */
  public EarlyStop {
    if (!(target > 0)) {
      throw new IllegalArgumentException("the target of approx-KL is not positive: " + target);
    }
  }

  /**
   * Whether to drop this step and end the epochs.
   *
   * @param approxKl ½·mean((log π − log π_old)²) over the tokens of the minibatch
   * @throws JobFailure if it is not a number
   */
  public boolean stopsAt(double approxKl) {
    if (Double.isNaN(approxKl)) {
      throw JobFailure.failure("Cannot go on with PPO: approx-KL is not a number");
    }
    return approxKl > SLACK * target;
  }
}
