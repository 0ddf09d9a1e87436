package io.github.sparkrlhf.jobs;

import io.github.sparkrlhf.reward.BradleyTerryModel;
import io.github.sparkrlhf.reward.EnsembleModel;
import io.github.sparkrlhf.reward.ForestModel;
import io.github.sparkrlhf.reward.MlpModel;
import io.github.sparkrlhf.reward.PipelineRewardModel;
import io.github.sparkrlhf.reward.TransformerRewardModel;

/** The kinds of reward model, by the names that their directories have them under. */
enum RewardKind {
  BRADLEY_TERRY(BradleyTerryModel.KIND),
  RANDOM_FOREST(ForestModel.RANDOM_FOREST),
  GRADIENT_BOOSTED(ForestModel.GRADIENT_BOOSTED),
  MLP(MlpModel.KIND),
  ENSEMBLE(EnsembleModel.KIND),
  PIPELINE(PipelineRewardModel.KIND),
  TRANSFORMER(TransformerRewardModel.KIND);

  private final String label;

  RewardKind(String label) {
    this.label = label;
  }

  @Override
  public String toString() {
    return label;
  }
}
