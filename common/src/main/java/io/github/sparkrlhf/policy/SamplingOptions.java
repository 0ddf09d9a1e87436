package io.github.sparkrlhf.policy;

import io.github.sparkrlhf.spark.JobFailure;
import java.io.Serializable;

/**
 * How tokens are drawn.
 *
 * @param temperature the logits are divided by it; 0 takes the most likely token
 * @param maxNewTokens longest response in tokens, the stop token included
 * @param stopId the token that ends a response
 * @param filter what else is done to the logits
 */
public record SamplingOptions(double temperature, int maxNewTokens, int stopId, LogitFilter filter)
    implements Serializable {
  /** Options without a filter, as PPO needs them: what is sampled is what it scores. */
  public SamplingOptions(double temperature, int maxNewTokens, int stopId) {
    this(temperature, maxNewTokens, stopId, LogitFilter.NONE);
  }

  /** Checks the ranges. */
  public SamplingOptions {
    if (!(temperature >= 0) || Double.isInfinite(temperature)) {
      throw JobFailure.usage("Cannot sample: temperature " + temperature + " is not >= 0");
    }
    if (maxNewTokens < 1) {
      throw JobFailure.usage("Cannot sample: max new tokens " + maxNewTokens + " is not >= 1");
    }
  }
}
