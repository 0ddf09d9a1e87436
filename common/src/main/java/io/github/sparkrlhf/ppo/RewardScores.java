package io.github.sparkrlhf.ppo;

import io.github.sparkrlhf.lm.Tokenizer;
import io.github.sparkrlhf.lm.TokenizerFile;
import io.github.sparkrlhf.policy.Rollout;
import io.github.sparkrlhf.policy.RolloutSampler;
import io.github.sparkrlhf.reward.RewardModel;
import io.github.sparkrlhf.spark.JobDescriptions;
import io.github.sparkrlhf.spark.JobFailure;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.StructType;

/** Scores of rollouts under any reward model: the response's text, without the stop token. */
final class RewardScores {
  private static final String ID = "rollout_id";

  private final SparkSession spark;
  private final RewardModel reward;
  private final Tokenizer tokenizer;
  private final Map<String, String> promptTexts = new HashMap<>();

  RewardScores(SparkSession spark, RewardModel reward, TokenizerFile tokenizer) {
    this.spark = spark;
    this.reward = reward;
    this.tokenizer = Tokenizer.of(tokenizer);
  }

  /** The text of a response. */
  String text(Rollout rollout) {
    return tokenizer.decode(rollout.response());
  }

  /** The text of a rollout's prompt; known once it has been scored. */
  String promptText(Rollout rollout) {
    return promptTexts.get(rollout.promptId());
  }

  /**
   * Scores rollouts.
   *
   * @param prompts all prompts, among them those of the rollouts
   * @return one score per rollout, in order
   * @throws JobFailure if a score is not finite
   */
  double[] of(List<Rollout> rollouts, List<RolloutSampler.Prompt> prompts) {
    if (promptTexts.isEmpty()) {
      prompts.forEach(prompt -> promptTexts.put(prompt.id(), prompt.text()));
    }
    List<Row> rows = new ArrayList<>();
    for (Rollout rollout : rollouts) {
      rows.add(RowFactory.create(rollout.id(), promptText(rollout), text(rollout)));
    }
    StructType schema =
        StructType.fromDDL(
            ID + " STRING, " + RewardModel.PROMPT + " STRING, " + RewardModel.RESPONSE + " STRING");
    Dataset<Row> scored =
        reward.score(spark.createDataFrame(rows, schema)).select(ID, RewardModel.SCORE);
    Map<String, Double> byId = new HashMap<>();
    for (Row row :
        JobDescriptions.described(
            spark.sparkContext(), "ppo: score responses", scored::collectAsList)) {
      byId.put(row.getString(0), row.getDouble(1));
    }
    double[] scores = new double[rollouts.size()];
    for (int i = 0; i < scores.length; i++) {
      scores[i] = byId.get(rollouts.get(i).id());
      if (!Double.isFinite(scores[i])) {
        throw JobFailure.failure(
            "Cannot run PPO: the reward of response " + rollouts.get(i).id() + " is " + scores[i]);
      }
    }
    return scores;
  }
}
