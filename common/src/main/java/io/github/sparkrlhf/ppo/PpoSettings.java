package io.github.sparkrlhf.ppo;

import io.github.sparkrlhf.spark.JobFailure;
import java.io.Serializable;

/**
 * How PPO runs.
 *
 * @param iterations rounds of sampling and updating
 * @param promptsPerIteration prompts drawn in each iteration
 * @param samplesPerPrompt responses to each
 * @param maxNewTokens longest response in tokens, the stop token included
 * @param temperature of sampling; the same in all log-probabilities
 * @param epochs times each iteration goes through its responses
 * @param minibatches optimiser steps per epoch, about
 * @param learningRate of the policy; decays linearly to 0 over all iterations
 * @param criticLearningRate of the critic; decays likewise
 * @param gamma discount γ
 * @param lambda of generalised advantage estimation
 * @param clip clip ranges ε
 * @param valueCoefficient weight of the value loss
 * @param entropyCoefficient weight of the entropy bonus
 * @param maxGradientNorm global gradient norm above which the gradient is scaled down
 * @param kl the KL coefficient β at the start, fixed or adaptive
 * @param klEstimator of the penalty inside the reward
 * @param targetApproxKl the epochs of an iteration stop above 1.5 times this; infinite for never
 * @param missingStopPenalty subtracted from the score of a response without stop token
 * @param scoreScaling what is done to scores
 * @param lanes a power of two
 * @param generationBatch rows decoded together
 * @param checkpointEveryIterations iterations between two checkpoints
 * @param seed of everything random
 */
public record PpoSettings(
    int iterations,
    int promptsPerIteration,
    int samplesPerPrompt,
    int maxNewTokens,
    double temperature,
    int epochs,
    int minibatches,
    double learningRate,
    double criticLearningRate,
    double gamma,
    double lambda,
    PpoLoss.Clip clip,
    double valueCoefficient,
    double entropyCoefficient,
    double maxGradientNorm,
    KlController kl,
    KlEstimator klEstimator,
    double targetApproxKl,
    double missingStopPenalty,
    ScoreScaling scoreScaling,
    int lanes,
    int generationBatch,
    int checkpointEveryIterations,
    long seed)
    implements Serializable {

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
    require(promptsPerIteration >= 1, "prompts per iteration", promptsPerIteration);
    require(samplesPerPrompt >= 1, "samples per prompt", samplesPerPrompt);
    require(temperature > 0, "temperature", temperature);
    require(epochs >= 1, "epochs", epochs);
    require(minibatches >= 1, "minibatches", minibatches);
    require(gamma > 0 && gamma <= 1, "gamma", gamma);
    require(lambda >= 0 && lambda <= 1, "lambda", lambda);
    require(targetApproxKl > 0, "target of approx-KL", targetApproxKl);
    require(generationBatch >= 1, "generation batch", generationBatch);
    require(checkpointEveryIterations >= 1, "checkpoint interval", checkpointEveryIterations);
  }

  private static void require(boolean holds, String name, Number value) {
    if (!holds) {
      throw JobFailure.usage("Cannot run PPO: " + name + " cannot be " + value);
    }
  }

  /** Responses of one iteration. */
  public int responses() {
    return promptsPerIteration * samplesPerPrompt;
  }

  /** Rows that a lane contributes to a minibatch, on average. */
  int microBatch() {
    return Math.max(1, responses() / (lanes * minibatches));
  }
}
