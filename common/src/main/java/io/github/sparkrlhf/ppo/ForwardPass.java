package io.github.sparkrlhf.ppo;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import io.github.sparkrlhf.lm.GradMode;
import io.github.sparkrlhf.lm.ReplicaPool;
import io.github.sparkrlhf.lm.SequenceBatch;
import io.github.sparkrlhf.training.FloatArray;
import io.github.sparkrlhf.training.TrainingEngine;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.List;
import org.apache.spark.broadcast.Broadcast;

/**
 * Log-probabilities of policy and reference and values of the critic, computed as the update will
 * compute them: the first minibatch of the first epoch then has a ratio of exactly 1.
 */
final class ForwardPass implements TrainingEngine.RowFunction<PpoExample, ForwardPass.Outputs> {
  private static final long serialVersionUID = 1L;

  private final PpoModels models;
  private final Broadcast<FloatArray> reference;
  private final double temperature;

  /**
   * One row's outputs, one entry per response token.
   *
   * @param id of the rollout
   * @param values null without a critic
   */
  record Outputs(String id, float[] logProbabilities, float[] reference, float[] values)
      implements Serializable {
    private static final long serialVersionUID = 1L;
  }

  ForwardPass(PpoModels models, Broadcast<FloatArray> reference, double temperature) {
    this.models = models;
    this.reference = reference;
    this.temperature = temperature;
  }

  @Override
  public List<Outputs> apply(float[] weights, List<PpoExample> rows) {
    SequenceBatch batch = PpoObjective.batch(rows);
    float[][] policy;
    float[][] values = new float[rows.size()][];
    if (models.sharesTrunk()) {
      Both both = both(weights, batch);
      policy = both.logProbabilities();
      values = both.values();
    } else {
      policy = logProbabilities(weights, batch);
      values = models.hasCritic() ? values(weights, batch) : values;
    }
    float[][] referencePolicy = logProbabilities(reference.value().values(), batch);
    List<Outputs> outputs = new ArrayList<>();
    for (int i = 0; i < rows.size(); i++) {
      outputs.add(new Outputs(rows.get(i).id(), policy[i], referencePolicy[i], values[i]));
    }
    return outputs;
  }

  private float[][] logProbabilities(float[] weights, SequenceBatch batch) {
    return ResponseLogProbabilities.of(models.policy(), weights, batch, temperature);
  }

  private record Both(float[][] logProbabilities, float[][] values) {}

  /** Of the two heads on one trunk, in one pass. */
  private Both both(float[] weights, SequenceBatch batch) {
    try (ReplicaPool.Lease lease = ReplicaPool.lease(models.policy(), weights, 0);
        GradMode ignored = GradMode.inference();
        NDManager manager = lease.replica().newManager()) {
      SequenceBatch.BothOutputs outputs = batch.bothOutputs(lease.replica(), manager, false);
      NDArray logits = SequenceBatch.tempered(outputs.logits(), temperature);
      return new Both(
          batch.bySequence(SequenceBatch.logProbabilities(logits, batch.labels(manager))),
          batch.bySequence(outputs.scores()));
    }
  }

  private float[][] values(float[] weights, SequenceBatch batch) {
    try (ReplicaPool.Lease lease =
            ReplicaPool.lease(models.critic(), weights, models.criticOffset());
        GradMode ignored = GradMode.inference();
        NDManager manager = lease.replica().newManager()) {
      return batch.bySequence(batch.outputs(lease.replica(), manager, false));
    }
  }
}
