package io.github.sparkrlhf.ppo;

import io.github.sparkrlhf.spark.JobFailure;
import java.io.Serializable;

/**
 * How PPO runs.
 *
 * @param iterations rounds of sampling and updating
 * @param sampling how responses are drawn
 * @param reward what a response is worth
 * @param update how policy and critic learn from it
 * @param lanes that responses are dealt into, a power of two
 * @param checkpointEveryIterations iterations between two checkpoints
 * @param seed of everything random
 */
public record PpoSettings(
    int iterations,
    Sampling sampling,
    Reward reward,
    Update update,
    int lanes,
    int checkpointEveryIterations,
    long seed)
    implements Serializable {

  /**
   * How responses are drawn.
   *
   * @param prompts drawn without replacement in each iteration
   * @param samplesPerPrompt responses to each
   * @param maxNewTokens longest response in tokens, the stop token included
   * @param temperature the same in all log-probabilities
   * @param batch rows decoded together
   */
  public record Sampling(
      int prompts, int samplesPerPrompt, int maxNewTokens, double temperature, int batch)
      implements Serializable {
    /** Checks the ranges. */
    public Sampling {
      require(prompts >= 1, "prompts per iteration", prompts);
      require(samplesPerPrompt >= 1, "samples per prompt", samplesPerPrompt);
      require(temperature > 0, "temperature", temperature);
      require(batch >= 1, "generation batch", batch);
    }

    /** Responses of one iteration. */
    public int responses() {
      return prompts * samplesPerPrompt;
    }
  }

  /**
   * What a response is worth, and how its tokens share in it.
   *
   * @param kl the KL coefficient β at the start, fixed or adaptive
   * @param klEstimator of the penalty
   * @param missingStopPenalty subtracted from the scaled score of a response without stop token
   * @param scoreScaling what is done to scores first
   * @param gamma discount γ
   * @param lambda of generalised advantage estimation
   */
  public record Reward(
      KlController kl,
      KlEstimator klEstimator,
      double missingStopPenalty,
      ScoreScaling scoreScaling,
      double gamma,
      double lambda)
      implements Serializable {
    /** Checks the ranges. */
    public Reward {
      require(gamma > 0 && gamma <= 1, "gamma", gamma);
      require(lambda >= 0 && lambda <= 1, "lambda", lambda);
    }
  }

  /**
   * How policy and critic learn.
   *
   * @param epochs times each iteration goes through its responses
   * @param minibatches optimiser steps per epoch, about
   * @param learningRate of the policy; decays linearly to 0 over all iterations
   * @param criticLearningRate of the critic; decays likewise
   * @param clip clip ranges ε
   * @param valueCoefficient weight of the value loss
   * @param entropyCoefficient weight of the entropy bonus
   * @param maxGradientNorm global gradient norm above which the gradient is scaled down
   * @param targetApproxKl the epochs of an iteration stop above 1.5 times this; infinite for never
   */
  public record Update(
      int epochs,
      int minibatches,
      double learningRate,
      double criticLearningRate,
      PpoLoss.Clip clip,
      double valueCoefficient,
      double entropyCoefficient,
      double maxGradientNorm,
      double targetApproxKl)
      implements Serializable {
    /** Checks the ranges. */
    public Update {
      require(epochs >= 1, "epochs", epochs);
      require(minibatches >= 1, "minibatches", minibatches);
      require(learningRate > 0, "learning rate", learningRate);
      require(criticLearningRate > 0, "learning rate of the critic", criticLearningRate);
      require(targetApproxKl > 0, "target of approx-KL", targetApproxKl);
    }
  }

  /** What is done to scores before they become rewards. */
  public enum ScoreScaling {
    /** Nothing. */
    NONE,
    /** The mean score of the first responses, which are the reference policy's, is subtracted. */
    SHIFT,
    /** Shifted, and divided by the standard deviation of the same scores. */
    STANDARDIZE
  }

  /** Checks the ranges. */
  public PpoSettings {
    require(iterations >= 1, "iterations", iterations);
    require(checkpointEveryIterations >= 1, "checkpoint interval", checkpointEveryIterations);
  }

  private static void require(boolean holds, String name, Number value) {
    if (!holds) {
      throw JobFailure.usage("Cannot run PPO: " + name + " cannot be " + value);
    }
  }

  /** Rows that a lane contributes to a minibatch, on average. */
  int microBatch() {
    return Math.max(1, sampling.responses() / (lanes * update.minibatches()));
  }
}
