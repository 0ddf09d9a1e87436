package io.github.sparkrlhf.jobs;

import io.github.sparkrlhf.ppo.KlController;
import io.github.sparkrlhf.ppo.KlEstimator;
import io.github.sparkrlhf.ppo.PpoLoss;
import io.github.sparkrlhf.ppo.PpoSettings;
import java.util.List;
import java.util.Set;
import picocli.CommandLine.Option;

/** The knobs of PPO. */
final class PpoOptions {
  private static final String KL_HORIZON = "kl-horizon";

  @Option(
      names = "--iterations",
      paramLabel = "N",
      defaultValue = "50",
      description = "Rounds of sampling and updating (default: ${DEFAULT-VALUE}).")
  private int iterations;

  @Option(
      names = "--prompts-per-iteration",
      paramLabel = "N",
      defaultValue = "128",
      description =
          "Prompts drawn without replacement in each iteration (default: ${DEFAULT-VALUE}).")
  private int promptsPerIteration;

  @Option(
      names = "--samples-per-prompt",
      paramLabel = "N",
      defaultValue = "1",
      description = "Responses to each prompt (default: ${DEFAULT-VALUE}).")
  private int samplesPerPrompt;

  @Option(
      names = "--max-new-tokens",
      paramLabel = "TOKENS",
      defaultValue = "64",
      description =
          "Longest response in tokens, the stop token included (default: ${DEFAULT-VALUE}).")
  private int maxNewTokens;

  @Option(
      names = "--temperature",
      paramLabel = "T",
      defaultValue = "1.0",
      description =
          "The logits are divided by it, in sampling and in all log-probabilities (default: ${DEFAULT-VALUE}).")
  private double temperature;

  @Option(
      names = "--epochs",
      paramLabel = "N",
      defaultValue = "4",
      description = "Times each iteration goes through its responses (default: ${DEFAULT-VALUE}).")
  private int epochs;

  @Option(
      names = "--minibatches",
      paramLabel = "N",
      defaultValue = "4",
      description = "Optimiser steps per epoch, about (default: ${DEFAULT-VALUE}).")
  private int minibatches;

  @Option(
      names = "--learning-rate",
      paramLabel = "RATE",
      defaultValue = "3e-4",
      description =
          "Learning rate of the policy at the start; falls linearly to 0 over the iterations (default: ${DEFAULT-VALUE}).")
  private double learningRate;

  @Option(
      names = "--critic-learning-rate",
      paramLabel = "RATE",
      defaultValue = "1e-3",
      description =
          "Learning rate of the critic at the start; falls likewise (default: ${DEFAULT-VALUE}).")
  private double criticLearningRate;

  @Option(
      names = "--gamma",
      paramLabel = "G",
      defaultValue = "1.0",
      description = "Discount per token (default: ${DEFAULT-VALUE}).")
  private double gamma;

  @Option(
      names = "--lambda",
      paramLabel = "L",
      defaultValue = "0.95",
      description =
          "Trade-off of generalised advantage estimation, 0 to 1 (default: ${DEFAULT-VALUE}).")
  private double lambda;

  @Option(
      names = "--clip-range",
      paramLabel = "EPSILON",
      defaultValue = "0.2",
      description = "Clip range of the probability ratio (default: ${DEFAULT-VALUE}).")
  private double clipRange;

  @Option(
      names = "--clip-range-value",
      paramLabel = "EPSILON",
      defaultValue = "0.2",
      description = "Clip range of values (default: ${DEFAULT-VALUE}).")
  private double clipRangeValue;

  @Option(
      names = "--value-coefficient",
      paramLabel = "C",
      defaultValue = "0.1",
      description = "Weight of the value loss (default: ${DEFAULT-VALUE}).")
  private double valueCoefficient;

  @Option(
      names = "--entropy-coefficient",
      paramLabel = "C",
      defaultValue = "0.0",
      description = "Weight of the entropy bonus (default: ${DEFAULT-VALUE}).")
  private double entropyCoefficient;

  @Option(
      names = "--max-gradient-norm",
      paramLabel = "NORM",
      defaultValue = "1.0",
      description =
          "Global gradient norm above which gradients are scaled down (default: ${DEFAULT-VALUE}).")
  private double maxGradientNorm;

  @Option(
      names = "--kl-coefficient",
      paramLabel = "BETA",
      defaultValue = "0.05",
      description = "Coefficient of the KL penalty at the start (default: ${DEFAULT-VALUE}).")
  private double klCoefficient;

  @Option(
      names = "--kl-target",
      paramLabel = "NATS",
      description =
          "Adapt the coefficient towards this KL per response (default: none, the coefficient is fixed).")
  private Double klTarget;

  @Option(
      names = "--kl-horizon",
      paramLabel = "RESPONSES",
      defaultValue = "10000",
      description = "Slowness of the adaptation (default: ${DEFAULT-VALUE}).")
  private double klHorizon;

  @Option(
      names = "--kl-estimator",
      paramLabel = "K",
      defaultValue = "K1",
      description =
          "Estimator of the penalty in the reward: ${COMPLETION-CANDIDATES} (default: ${DEFAULT-VALUE}).")
  private KlEstimator klEstimator;

  @Option(
      names = "--target-approx-kl",
      paramLabel = "NATS",
      description =
          "Stop the epochs of an iteration when approx-KL per token exceeds 1.5 times this (default: never).")
  private Double targetApproxKl;

  @Option(
      names = "--missing-stop-penalty",
      paramLabel = "SCORE",
      defaultValue = "1.0",
      description =
          "Subtracted from the scaled score of a response that does not end by itself (default: ${DEFAULT-VALUE}).")
  private double missingStopPenalty;

  @Option(
      names = "--score-scaling",
      paramLabel = "HOW",
      defaultValue = "STANDARDIZE",
      description =
          "How scores become rewards: ${COMPLETION-CANDIDATES}, by mean and deviation of the first iteration's scores (default: ${DEFAULT-VALUE}).")
  private PpoSettings.ScoreScaling scoreScaling;

  @Option(
      names = "--lanes",
      paramLabel = "N",
      defaultValue = "4",
      description =
          "Lanes the responses are dealt into, a power of two: at most so many tasks work at a time. Part of the result, unlike the number of executors (default: ${DEFAULT-VALUE}).")
  private int lanes;

  @Option(
      names = "--generation-batch",
      paramLabel = "ROWS",
      defaultValue = "32",
      description = "Responses that one task decodes together (default: ${DEFAULT-VALUE}).")
  private int generationBatch;

  @Option(
      names = "--checkpoint-every",
      paramLabel = "ITERATIONS",
      defaultValue = "10",
      description = "Iterations between two checkpoints (default: ${DEFAULT-VALUE}).")
  private int checkpointEvery;

  @Option(
      names = "--seed",
      paramLabel = "NUMBER",
      defaultValue = "0",
      description = "Seed of everything random (default: ${DEFAULT-VALUE}).")
  private long seed;

  /** Checks the ranges, and that every option given has a meaning. */
  void validate(Given given) {
    Given.requireCount("iterations", iterations);
    Given.requireCount("prompts-per-iteration", promptsPerIteration);
    Given.requireCount("samples-per-prompt", samplesPerPrompt);
    Given.require(
        (long) promptsPerIteration * samplesPerPrompt <= Integer.MAX_VALUE,
        "samples-per-prompt",
        samplesPerPrompt,
        "less: an iteration cannot have so many responses");
    Given.requireCount("max-new-tokens", maxNewTokens);
    Given.requirePositive("temperature", temperature);
    Given.requireCount("epochs", epochs);
    Given.requireCount("minibatches", minibatches);
    Given.requirePositive("learning-rate", learningRate);
    Given.requirePositive("critic-learning-rate", criticLearningRate);
    Given.require(gamma > 0 && gamma <= 1, "gamma", gamma, "greater than 0 and at most 1");
    Given.requireShare("lambda", lambda);
    Given.requirePositive("clip-range", clipRange);
    Given.requirePositive("clip-range-value", clipRangeValue);
    Given.requireNotNegative("value-coefficient", valueCoefficient);
    Given.requireNotNegative("entropy-coefficient", entropyCoefficient);
    Given.requirePositive("max-gradient-norm", maxGradientNorm);
    Given.requireNotNegative("missing-stop-penalty", missingStopPenalty);
    Given.requireLanes(lanes);
    Given.requireCount("generation-batch", generationBatch);
    Given.requireCount("checkpoint-every", checkpointEvery);
    if (targetApproxKl != null) {
      Given.requirePositive("target-approx-kl", targetApproxKl);
    }
    validateKl(given);
  }

  private void validateKl(Given given) {
    Given.requireNotNegative("kl-coefficient", klCoefficient);
    if (klTarget == null) {
      given.refuse(List.of(KL_HORIZON), "without --kl-target the coefficient is fixed");
      return;
    }
    Given.requirePositive("kl-target", klTarget);
    Given.requirePositive(KL_HORIZON, klHorizon);
    long responses = (long) promptsPerIteration * samplesPerPrompt;
    Given.require(
        klHorizon >= responses,
        KL_HORIZON,
        klHorizon,
        "at least the " + responses + " responses of an iteration");
  }

  /** Names of the options that say nothing about this run. */
  Set<String> outsideIdentity() {
    return klTarget == null ? Set.of(KL_HORIZON) : Set.of();
  }

  long seed() {
    return seed;
  }

  PpoSettings settings() {
    KlController kl =
        klTarget == null
            ? KlController.fixed(klCoefficient)
            : KlController.adaptive(klCoefficient, klTarget, klHorizon);
    return new PpoSettings(
        iterations,
        new PpoSettings.Sampling(
            promptsPerIteration, samplesPerPrompt, maxNewTokens, temperature, generationBatch),
        new PpoSettings.Reward(kl, klEstimator, missingStopPenalty, scoreScaling, gamma, lambda),
        new PpoSettings.Update(
            epochs,
            minibatches,
            learningRate,
            criticLearningRate,
            new PpoLoss.Clip(clipRange, clipRange, clipRangeValue),
            valueCoefficient,
            entropyCoefficient,
            maxGradientNorm,
            targetApproxKl == null ? Double.POSITIVE_INFINITY : targetApproxKl),
        lanes,
        checkpointEvery,
        seed);
  }
}
