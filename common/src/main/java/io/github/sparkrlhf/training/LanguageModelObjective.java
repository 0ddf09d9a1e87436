package io.github.sparkrlhf.training;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import io.github.sparkrlhf.lm.GradMode;
import io.github.sparkrlhf.lm.Replica;
import io.github.sparkrlhf.lm.ReplicaPool;
import io.github.sparkrlhf.lm.SequenceBatch;
import io.github.sparkrlhf.lm.TransformerConfig;
import java.util.List;

/** Cross entropy of the learned tokens given what stands before them, in nats per token. */
public final class LanguageModelObjective implements Objective<TextExample> {
  private static final long serialVersionUID = 1L;

  private final TransformerConfig config;

  /** The objective for a causal language model. */
  public LanguageModelObjective(TransformerConfig config) {
    this.config = config;
  }

  @Override
  public int parameterCount() {
    return config.layout().size();
  }

  @Override
  public double[] compute(float[] weights, List<TextExample> rows, float[] gradient) {
    boolean training = gradient != null;
    try (ReplicaPool.Lease lease = ReplicaPool.lease(config, weights, 0);
        GradMode ignored = GradMode.of(training);
        NDManager manager = lease.replica().newManager()) {
      Replica replica = lease.replica();
      SequenceBatch batch =
          SequenceBatch.predicting(
              rows.stream().map(TextExample::tokens).toList(),
              rows.stream().map(TextExample::learned).toList());
      NDArray loss = batch.crossEntropy(replica, manager, training);
      if (training) {
        replica.backward(loss, gradient, 0);
      }
      return new double[] {loss.getFloat(), batch.outputs()};
    }
  }
}
