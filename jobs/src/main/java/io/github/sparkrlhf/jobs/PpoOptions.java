package io.github.sparkrlhf.jobs;

import io.github.sparkrlhf.ppo.Algorithm;
import io.github.sparkrlhf.ppo.Averaging;
import io.github.sparkrlhf.ppo.LossSettings;
import io.github.sparkrlhf.ppo.PpoLoss;
import io.github.sparkrlhf.ppo.PpoSettings;
import io.github.sparkrlhf.ppo.RatioLevel;
import java.util.HashSet;
import java.util.Set;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** The knobs of the algorithms that improve a policy. */
final class PpoOptions {
  /** What only an algorithm with a critic has. */
  private static final Set<String> OF_CRITIC =
      Set.of(
          "critic",
          "critic-learning-rate",
          "critic-warmup",
          "clip-range-value",
          "value-coefficient",
          "lambda");

  /** What has no meaning where the responses of a prompt are compared as wholes. */
  private static final Set<String> OF_TOKEN_REWARDS = Set.of("gamma", "whiten-rewards");

  @Option(
      names = "--algorithm",
      paramLabel = "NAME",
      defaultValue = "ppo",
      description =
          "How advantages are estimated: ${COMPLETION-CANDIDATES}. Only ppo has a critic; rloo, grpo and dr-grpo compare the responses to a prompt and need --samples-per-prompt of at least 2 (default: ${DEFAULT-VALUE}).")
  private Algorithm algorithm;

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
      names = "--critic-warmup",
      paramLabel = "ITERATIONS",
      defaultValue = "0",
      description =
          "Iterations at the start in which only the critic learns (default: ${DEFAULT-VALUE}).")
  private int criticWarmup;

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
      description =
          "Clip range of the probability ratio, below 1 and, without --clip-range-high, above (default: ${DEFAULT-VALUE}).")
  private double clipRange;

  @Option(
      names = "--clip-range-high",
      paramLabel = "EPSILON",
      description = "Clip range of the probability ratio above 1 (default: as --clip-range).")
  private Double clipRangeHigh;

  @Option(
      names = "--dual-clip",
      paramLabel = "C",
      description =
          "The most that a ratio counts where the advantage is negative, above 1 (default: no bound).")
  private Double dualClip;

  @Option(
      names = "--ratio-level",
      paramLabel = "LEVEL",
      description =
          "Whether a probability ratio is of a token, a response, or a response's geometric mean: ${COMPLETION-CANDIDATES} (default: RESPONSE for rloo, else TOKEN).")
  private RatioLevel ratioLevel;

  @Option(
      names = "--loss-average",
      paramLabel = "HOW",
      description =
          "How the losses of tokens become one: ${COMPLETION-CANDIDATES}; ppo has TOKENS (default: RESPONSES for rloo and grpo, MAX_TOKENS for dr-grpo, else TOKENS).")
  private Averaging lossAverage;

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
      names = "--whiten-rewards",
      description =
          "Divide the rewards of tokens by their standard deviation over the batch, the mean kept (default: no).")
  private boolean whitenRewards;

  @Mixin private KlOptions kl;
  @Mixin private ScoreOptions scores;

  @Option(
      names = "--target-approx-kl",
      paramLabel = "NATS",
      description =
          "Stop the epochs of an iteration when approx-KL per token exceeds 1.5 times this (default: never).")
  private Double targetApproxKl;

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
    validateAlgorithm(given);
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
    Given.require(criticWarmup >= 0, "critic-warmup", criticWarmup, "at least 0");
    Given.require(
        clipRange > 0 && clipRange <= 1, "clip-range", clipRange, "above 0 and at most 1");
    if (clipRangeHigh != null) {
      Given.requirePositive("clip-range-high", clipRangeHigh);
    }
    if (dualClip != null) {
      Given.require(
          dualClip > 1 && Double.isFinite(dualClip), "dual-clip", dualClip, "a number above 1");
    }
    Given.requirePositive("clip-range-value", clipRangeValue);
    Given.requireNotNegative("value-coefficient", valueCoefficient);
    Given.requireNotNegative("entropy-coefficient", entropyCoefficient);
    Given.requirePositive("max-gradient-norm", maxGradientNorm);
    Given.requireLanes(lanes);
    Given.requireCount("generation-batch", generationBatch);
    Given.requireCount("checkpoint-every", checkpointEvery);
    if (targetApproxKl != null) {
      Given.requirePositive("target-approx-kl", targetApproxKl);
    }
    kl.validate(given, algorithm, promptsPerIteration * samplesPerPrompt);
    scores.validate(given, maxNewTokens);
  }

  private void validateAlgorithm(Given given) {
    if (!algorithm.needsCritic()) {
      given.refuse(OF_CRITIC, algorithm + " has no critic");
    } else {
      given.refuse(Set.of("loss-average"), "with a critic the loss is a mean over tokens");
    }
    if (algorithm.needsGroups()) {
      given.refuse(OF_TOKEN_REWARDS, algorithm + " compares whole responses");
      Given.require(
          samplesPerPrompt >= 2,
          "samples-per-prompt",
          samplesPerPrompt,
          "at least 2: " + algorithm + " compares the responses to a prompt");
    }
  }

  /** Names of the options that say nothing about this run. */
  Set<String> outsideIdentity() {
    Set<String> names = new HashSet<>(kl.outsideIdentity());
    names.addAll(scores.outsideIdentity());
    if (!algorithm.needsCritic()) {
      names.addAll(OF_CRITIC);
    }
    if (algorithm.needsGroups()) {
      names.addAll(OF_TOKEN_REWARDS);
    }
    return names;
  }

  long seed() {
    return seed;
  }

  Algorithm algorithm() {
    return algorithm;
  }

  PpoSettings settings() {
    return new PpoSettings(
        algorithm,
        iterations,
        new PpoSettings.Sampling(
            promptsPerIteration, samplesPerPrompt, maxNewTokens, temperature, generationBatch),
        new PpoSettings.Reward(
            kl.controller(),
            kl.estimator(algorithm),
            kl.use(algorithm),
            scores.settings(),
            whitenRewards,
            gamma,
            lambda),
        new PpoSettings.Update(
            epochs,
            minibatches,
            criticWarmup,
            learningRate,
            criticLearningRate,
            loss(),
            maxGradientNorm,
            targetApproxKl == null ? Double.POSITIVE_INFINITY : targetApproxKl),
        lanes,
        checkpointEvery,
        seed);
  }

  private LossSettings loss() {
    return new LossSettings(
        new PpoLoss.Clip(
            clipRange,
            clipRangeHigh == null ? clipRange : clipRangeHigh,
            clipRangeValue,
            dualClip == null ? Double.POSITIVE_INFINITY : dualClip),
        ratioLevel == null ? algorithm.ratio() : ratioLevel,
        lossAverage == null ? algorithm.averaging() : lossAverage,
        valueCoefficient,
        entropyCoefficient);
  }
}
