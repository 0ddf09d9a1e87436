package io.github.sparkrlhf.ppo;

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
    float[][] policy = logProbabilities(weights, batch);
    float[][] referencePolicy = logProbabilities(reference.value().values(), batch);
    float[][] values = models.hasCritic() ? values(weights, batch) : new float[rows.size()][];
    List<Outputs> outputs = new ArrayList<>();
    for (int i = 0; i < rows.size(); i++) {
      outputs.add(new Outputs(rows.get(i).id(), policy[i], referencePolicy[i], values[i]));
    }
    return outputs;
  }

  private float[][] logProbabilities(float[] weights, SequenceBatch batch) {
    return ResponseLogProbabilities.of(models.policy(), weights, batch, temperature);
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
