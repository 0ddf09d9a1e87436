package io.github.sparkrlhf.ppo;

import io.github.sparkrlhf.policy.Rollout;
import io.github.sparkrlhf.spark.JobFailure;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * What one iteration learns from: responses, the networks' outputs on them, rewards, advantages and
 * returns. All arrays are {@code [rows][response tokens]}, nothing is padded.
 */
final class Experience {
  /** Tolerance of the sampler's log-probabilities against the training forward pass, in nats. */
  private static final double SAMPLER_TOLERANCE = 0.01;

  private static final double WHITE_TOLERANCE = 1e-3;

  final List<Rollout> rollouts;
  final float[][] logProbabilities;
  final float[][] reference;
  final float[][] values;
  final double[] scores;
  final double[] kl;
  final float[][] rewards;
  final float[][] advantages;
  final float[][] returns;
  private final Whitening.Moments whitened;

  /**
   * Turns outputs and scores into advantages.
   *
   * @param scores of the reward model after scaling and penalties, [rows]
   * @throws JobFailure if the sampler's log-probabilities are not those of the training forward
   *     pass, or the rewards do not add up
   */
  Experience(
      List<Rollout> rollouts,
      List<ForwardPass.Outputs> outputs,
      double[] scores,
      PpoSettings settings,
      double klCoefficient) {
    int rows = rollouts.size();
    this.rollouts = rollouts;
    this.scores = scores;
    this.logProbabilities = new float[rows][];
    this.reference = new float[rows][];
    this.values = new float[rows][];
    this.rewards = new float[rows][];
    this.kl = new double[rows];
    int[] lengths = new int[rows];
    Map<String, ForwardPass.Outputs> byId = new HashMap<>();
    outputs.forEach(output -> byId.put(output.id(), output));
    for (int row = 0; row < rows; row++) {
      ForwardPass.Outputs output = byId.get(rollouts.get(row).id());
      lengths[row] = rollouts.get(row).response().length;
      logProbabilities[row] = output.logProbabilities();
      reference[row] = output.reference();
      values[row] = output.values();
      double[] perToken =
          settings
              .reward()
              .klEstimator()
              .perToken(output.logProbabilities(), output.reference(), lengths[row]);
      rewards[row] = TokenRewards.of(perToken, scores[row], klCoefficient);
      for (double k1 :
          KlEstimator.K1.perToken(output.logProbabilities(), output.reference(), lengths[row])) {
        kl[row] += k1;
      }
    }
    requireSameDistribution();
    Advantages.Gae gae =
        Advantages.gae(
            rewards, values, lengths, settings.reward().gamma(), settings.reward().lambda());
    this.returns = gae.returns();
    this.advantages = Whitening.whiten(gae.advantages(), lengths);
    this.whitened = Whitening.Moments.of(advantages, lengths);
    requireWhite();
  }

  private void requireWhite() {
    // All advantages equal, or a single one, give variance 0.
    boolean white =
        Math.abs(whitened.mean()) < WHITE_TOLERANCE
            && (Math.abs(whitened.variance() - 1) < WHITE_TOLERANCE
                || whitened.variance() < WHITE_TOLERANCE);
    if (!white) {
      throw JobFailure.failure(
          "Cannot run PPO: whitened advantages have mean %s and variance %s"
              .formatted(whitened.mean(), whitened.variance()));
    }
  }

  private void requireSameDistribution() {
    double difference = 0;
    long tokens = 0;
    for (int row = 0; row < logProbabilities.length; row++) {
      float[] sampled = rollouts.get(row).samplerLogProbabilities();
      for (int t = 0; t < sampled.length; t++) {
        difference += Math.abs(sampled[t] - logProbabilities[row][t]);
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
          PpoExample.of(rollouts.get(row))
              .with(logProbabilities[row], values[row], advantages[row], returns[row]));
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
                logProbabilities,
                reference,
                values,
                returns,
                scores,
                stopped,
                settings.sampling().samplesPerPrompt()),
            settings.reward().klEstimator(),
            klCoefficient);
    metrics.put("advantages/mean", whitened.mean());
    metrics.put("advantages/variance", whitened.variance());
    return metrics;
  }
}
