package io.github.sparkrlhf.ppo;

import io.github.sparkrlhf.policy.Rollout;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;

/**
 * A response as the table {@code rollouts} keeps it: what was sampled and everything that the
 * update saw of it.
 *
 * @param row the columns of the table, without the run id
 */
public record RolloutRow(Row row) {

  static List<RolloutRow> of(int iteration, Experience experience, RewardScores texts) {
    List<RolloutRow> rows = new ArrayList<>();
    for (int i = 0; i < experience.rollouts.size(); i++) {
      Rollout rollout = experience.rollouts.get(i);
      ForwardPass.Outputs outputs = experience.outputs.get(i);
      rows.add(
          new RolloutRow(
              RowFactory.create(
                  iteration,
                  rollout.id(),
                  rollout.promptId(),
                  rollout.sample(),
                  texts.promptText(rollout),
                  texts.text(rollout),
                  boxed(rollout.prompt()),
                  boxed(rollout.response()),
                  rollout.stopped(),
                  boxed(rollout.samplerLogProbabilities()),
                  boxed(outputs.logProbabilities()),
                  boxed(outputs.reference()),
                  boxed(outputs.values()),
                  boxed(experience.rewards[i]),
                  boxed(experience.advantages[i]),
                  boxed(experience.returns[i]),
                  experience.scores[i],
                  experience.kl[i])));
    }
    return rows;
  }

  private static Integer[] boxed(int[] values) {
    return Arrays.stream(values).boxed().toArray(Integer[]::new);
  }

  private static Float[] boxed(float[] values) {
    if (values == null) {
      return null;
    }
    Float[] boxed = new Float[values.length];
    for (int i = 0; i < values.length; i++) {
      boxed[i] = values[i];
    }
    return boxed;
  }
}
