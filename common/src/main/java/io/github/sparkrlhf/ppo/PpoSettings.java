package io.github.sparkrlhf.ppo;

import io.github.sparkrlhf.spark.JobFailure;
import io.github.sparkrlhf.training.LaneSettings;
import java.io.Serializable;

/**
 * How a policy is improved.
 *
 * @param algorithm how advantages are estimated
 * @param iterations rounds of sampling and updating
 * @param sampling how responses are drawn
 * @param reward what a response is worth
 * @param update how policy and critic learn from it
 * @param lanes that responses are dealt into, a power of two
 * @param checkpointEveryIterations iterations between two checkpoints
 * @param seed of everything random
 */
public record PpoSettings(
    Algorithm algorithm,
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
   * @param klUse where the penalty is
   * @param scores how scores become rewards
   * @param whiten whether token rewards are divided by their standard deviation
   * @param gamma discount γ
   * @param lambda of generalised advantage estimation
   */
  public record Reward(
      KlController kl,
      KlEstimator klEstimator,
      KlUse klUse,
      ScoreSettings scores,
      boolean whiten,
      double gamma,
      double lambda)
      implements Serializable {
    /** Checks the ranges. */
    public Reward {
      require(gamma > 0 && gamma <= 1, "gamma", gamma);
      require(lambda >= 0 && lambda <= 1, "lambda", lambda);
      require(
          klUse == KlUse.REWARD || klEstimator.hasGradient(),
          "the estimator of a KL in the loss",
          klEstimator);
    }

    /** What is subtracted from rewards per nat, given β: nothing if the penalty is in the loss. */
    double coefficientInReward(double beta) {
      return klUse == KlUse.REWARD ? beta : 0;
    }
  }

  /**
   * How policy and critic learn.
   *
   * @param epochs times each iteration goes through its responses
   * @param minibatches optimiser steps per epoch, about
   * @param criticWarmupIterations iterations at the start in which only the critic learns
   * @param learningRate of the policy; decays linearly to 0 over all iterations
   * @param criticLearningRate of the critic; decays likewise
   * @param loss of what the loss is made
   * @param maxGradientNorm global gradient norm above which the gradient is scaled down
   * @param targetApproxKl the epochs of an iteration stop above 1.5 times this; infinite for never
   */
  public record Update(
      int epochs,
      int minibatches,
      int criticWarmupIterations,
      double learningRate,
      double criticLearningRate,
      LossSettings loss,
      double maxGradientNorm,
      double targetApproxKl)
      implements Serializable {
    /** Checks the ranges. */
    public Update {
      require(epochs >= 1, "epochs", epochs);
      require(minibatches >= 1, "minibatches", minibatches);
      require(criticWarmupIterations >= 0, "critic warm-up", criticWarmupIterations);
      require(learningRate > 0, "learning rate", learningRate);
      require(criticLearningRate > 0, "learning rate of the critic", criticLearningRate);
      require(targetApproxKl > 0, "target of approx-KL", targetApproxKl);
    }
  }

  /** Checks the ranges. */
  public PpoSettings {
    require(iterations >= 1, "iterations", iterations);
    require(checkpointEveryIterations >= 1, "checkpoint interval", checkpointEveryIterations);
    require(
        !algorithm.needsGroups() || sampling.samplesPerPrompt() >= 2,
        "samples per prompt for " + algorithm,
        sampling.samplesPerPrompt());
    require(
        algorithm.needsCritic() || update.criticWarmupIterations() == 0,
        "critic warm-up for " + algorithm,
        update.criticWarmupIterations());
  }

  private static void require(boolean holds, String name, Object value) {
    if (!holds) {
      throw JobFailure.usage("Cannot run PPO: " + name + " cannot be " + value);
    }
  }

  /** How the responses of an iteration are dealt for an update. */
  LaneSettings dealing(long orderSeed) {
    int microBatch = Math.max(1, sampling.responses() / (lanes * update.minibatches()));
    return new LaneSettings(lanes, microBatch, orderSeed, LaneSettings.Order.SHUFFLED);
  }

  /** Optimiser steps at the start that leave the policy as it is. */
  long criticWarmupSteps() {
    return (long) update.criticWarmupIterations()
        * update.epochs()
        * dealing(0).stepsPerEpoch(sampling.responses());
  }
}
