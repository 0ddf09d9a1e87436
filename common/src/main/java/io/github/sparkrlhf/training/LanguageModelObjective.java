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
          SequenceBatch.predictingResponses(
              rows.stream().map(TextExample::tokens).toList(),
              rows.stream().mapToInt(TextExample::firstLearned).toArray());
      NDArray logits = batch.outputs(replica, manager, training);
      NDArray logProbabilities = SequenceBatch.logProbabilities(logits, batch.labels(manager));
      float[] marks = marks(rows, batch.outputs());
      int learned = 0;
      for (float mark : marks) {
        learned += (int) mark;
      }
      if (learned < marks.length) {
        logProbabilities = logProbabilities.mul(manager.create(marks));
      }
      NDArray loss = logProbabilities.sum().neg();
      if (training) {
        replica.backward(loss, gradient, 0);
      }
      return new double[] {loss.getFloat(), learned};
    }
  }

  /** 1 for each output that predicts a learned token, 0 for those that lie between such tokens. */
  private static float[] marks(List<TextExample> rows, int outputs) {
    float[] marks = new float[outputs];
    int next = 0;
    for (TextExample row : rows) {
      for (int t = row.firstLearned(); t < row.length(); t++) {
        marks[next++] = row.learned()[t] ? 1 : 0;
      }
    }
    return marks;
  }
}
