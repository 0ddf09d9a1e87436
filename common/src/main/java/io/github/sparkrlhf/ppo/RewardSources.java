package io.github.sparkrlhf.ppo;

import io.github.sparkrlhf.reward.RewardModel;
import io.github.sparkrlhf.spark.JobFailure;
import java.util.List;
import java.util.Optional;

/**
 * Where the rewards of responses come from. Each model's scores are scaled by themselves, then
 * weighted and added; shaping terms are added to what the scaled scores are worth.
 *
 * @param models at least one
 * @param watcher a reward model that the training never learns from
 * @param shaping SQL expressions over the columns of {@link ResponseScorer#COLUMNS}
 */
public record RewardSources(
    List<Weighted> models, Optional<RewardModel> watcher, List<String> shaping) {
  /**
   * A reward model and what it counts.
   *
   * @param name in metrics; unique
   */
  public record Weighted(String name, RewardModel model, double weight) {}

  /** Checks that there is a model, and that its weight is a number. */
  public RewardSources {
    models = List.copyOf(models);
    shaping = List.copyOf(shaping);
    if (models.isEmpty() || models.stream().anyMatch(each -> !Double.isFinite(each.weight()))) {
      throw JobFailure.usage(
          "Cannot reward responses: there is no model, or a weight is no number");
    }
  }

  /** One model and nothing else. */
  public static RewardSources of(RewardModel model) {
    return new RewardSources(
        List.of(new Weighted("reward", model, 1)), Optional.empty(), List.of());
  }
}
