package io.github.sparkrlhf.ppo;

import io.github.sparkrlhf.policy.Rollout;
import io.github.sparkrlhf.spark.JobFailure;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;

/**
 * What one iteration learns from: responses, the networks' outputs on them, rewards, advantages and
 * returns. All arrays are {@code [rows][response tokens]}, nothing is padded. Without a critic
 * there are neither values nor returns: their rows are null.
 */
final class Experience {
  /** Tolerance of the sampler's log-probabilities against the training forward pass, in nats. */
  private static final double SAMPLER_TOLERANCE = 0.01;

  private static final double WHITE_TOLERANCE = 1e-3;

  final List<Rollout> rollouts;
  final List<ForwardPass.Outputs> outputs;
  final double[] scores;
  final double[] kl;
  final float[][] rewards;
  final float[][] advantages;
  final float[][] returns;
  private final boolean hasCritic;
  private final Whitening.Moments moments;

  /**
   * Turns outputs and scores into advantages.
   *
   * @param unordered outputs on the rollouts, in any order
   * @param scores what the responses are worth, [rows]
   * @param klCoefficient β
   * @throws JobFailure if the sampler's log-probabilities are not those of the training forward
   *     pass, or the rewards do not add up
   */
  Experience(
      List<Rollout> rollouts,
      List<ForwardPass.Outputs> unordered,
      double[] scores,
      PpoSettings settings,
      double klCoefficient) {
    int rows = rollouts.size();
    PpoSettings.Reward reward = settings.reward();
    double penalty = reward.coefficientInReward(klCoefficient);
    this.rollouts = rollouts;
    this.outputs = ordered(rollouts, unordered);
    this.scores = scores;
    this.rewards = new float[rows][];
    this.kl = new double[rows];
    double[] totals = new double[rows];
    int[] lengths = new int[rows];
    for (int row = 0; row < rows; row++) {
      ForwardPass.Outputs output = outputs.get(row);
      lengths[row] = output.logProbabilities().length;
      double[] perToken = perToken(reward.klEstimator(), output);
      rewards[row] = TokenRewards.of(perToken, scores[row], penalty);
      totals[row] = scores[row] - penalty * PpoMetrics.sum(perToken);
      kl[row] = PpoMetrics.sum(perToken(KlEstimator.K1, output));
    }
    requireSameDistribution();
    this.hasCritic = settings.algorithm().needsCritic();
    Algorithm.Estimate estimate =
        settings
            .algorithm()
            .estimate(
                new Algorithm.Rewards(
                    reward.whiten() ? Whitening.scaleKeepingMean(rewards, lengths) : rewards,
                    totals,
                    hasCritic ? each(ForwardPass.Outputs::values) : null,
                    lengths,
                    settings.sampling().samplesPerPrompt(),
                    reward.gamma(),
                    reward.lambda()));
    this.advantages = estimate.advantages();
    this.returns = hasCritic ? estimate.returns() : new float[rows][];
    this.moments = Whitening.Moments.of(advantages, lengths);
    if (estimate.white()) {
      requireWhite();
    }
  }

  private static List<ForwardPass.Outputs> ordered(
      List<Rollout> rollouts, List<ForwardPass.Outputs> unordered) {
    Map<String, ForwardPass.Outputs> byId = new HashMap<>();
    unordered.forEach(output -> byId.put(output.id(), output));
    return rollouts.stream().map(rollout -> byId.get(rollout.id())).toList();
  }

  private static double[] perToken(KlEstimator estimator, ForwardPass.Outputs output) {
    float[] logProbabilities = output.logProbabilities();
    return estimator.perToken(logProbabilities, output.reference(), logProbabilities.length);
  }

  private float[][] each(Function<ForwardPass.Outputs, float[]> field) {
    return outputs.stream().map(field).toArray(float[][]::new);
  }

  private void requireWhite() {
    // All advantages equal, or a single one, give variance 0.
    boolean white =
        Math.abs(moments.mean()) < WHITE_TOLERANCE
            && (Math.abs(moments.variance() - 1) < WHITE_TOLERANCE
                || moments.variance() < WHITE_TOLERANCE);
    if (!white) {
      throw JobFailure.failure(
          "Cannot run PPO: whitened advantages have mean %s and variance %s"
              .formatted(moments.mean(), moments.variance()));
    }
  }

  private void requireSameDistribution() {
    double difference = 0;
    long tokens = 0;
    for (int row = 0; row < outputs.size(); row++) {
      float[] sampled = rollouts.get(row).samplerLogProbabilities();
      float[] recomputed = outputs.get(row).logProbabilities();
      for (int t = 0; t < sampled.length; t++) {
        difference += Math.abs(sampled[t] - recomputed[t]);
        tokens++;
      }
    }
    if (!(difference / tokens <= SAMPLER_TOLERANCE)) {
      throw JobFailure.failure(
          "Cannot run PPO: the sampler's log-probabilities differ from the training forward pass by "
              + difference / tokens
              + " on average, more than "
              + SAMPLER_TOLERANCE);
    }
  }

  /** The rows to learn from. */
  List<PpoExample> examples() {
    List<PpoExample> examples = new ArrayList<>();
    for (int row = 0; row < rollouts.size(); row++) {
      examples.add(
          PpoExample.of(rollouts.get(row)).with(outputs.get(row), advantages[row], returns[row]));
    }
    return examples;
  }

  /** The metrics of the responses under their usual names. */
  Map<String, Double> metrics(PpoSettings settings, double klCoefficient) {
    float[][] sampled =
        rollouts.stream().map(Rollout::samplerLogProbabilities).toArray(float[][]::new);
    boolean[] stopped = new boolean[rollouts.size()];
    for (int row = 0; row < stopped.length; row++) {
      stopped[row] = rollouts.get(row).stopped();
    }
    Map<String, Double> metrics =
        PpoMetrics.ofResponses(
            new PpoMetrics.Responses(
                sampled,
                each(ForwardPass.Outputs::logProbabilities),
                each(ForwardPass.Outputs::reference),
                hasCritic ? each(ForwardPass.Outputs::values) : null,
                hasCritic ? returns : null,
                scores,
                stopped,
                settings.sampling().samplesPerPrompt()),
            settings.reward().klEstimator(),
            settings.reward().coefficientInReward(klCoefficient));
    metrics.put("advantages/mean", moments.mean());
    metrics.put("advantages/variance", moments.variance());
    metrics.put("kl_coef", klCoefficient);
    return metrics;
  }
}
