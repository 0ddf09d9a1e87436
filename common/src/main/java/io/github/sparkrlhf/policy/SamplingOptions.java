package io.github.sparkrlhf.policy;

import io.github.sparkrlhf.spark.JobFailure;
import java.io.Serializable;

/**
 * How tokens are drawn. Neither top-k nor top-p: the distribution that is sampled is the one that
 * PPO scores.
 *
 * @param temperature the logits are divided by it; 0 takes the most likely token
 * @param maxNewTokens longest response in tokens, the stop token included
 * @param stopId the token that ends a response
 */
public record SamplingOptions(double temperature, int maxNewTokens, int stopId)
    implements Serializable {
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
