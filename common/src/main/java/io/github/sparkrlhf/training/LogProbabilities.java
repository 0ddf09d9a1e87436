package io.github.sparkrlhf.training;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import io.github.sparkrlhf.lm.GradMode;
import io.github.sparkrlhf.lm.ReplicaPool;
import io.github.sparkrlhf.lm.SequenceBatch;
import io.github.sparkrlhf.lm.TransformerConfig;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.List;

/** How probable a language model finds the learned tokens of each row. */
public final class LogProbabilities
    implements TrainingEngine.RowFunction<TextExample, LogProbabilities.OfRow> {
  private static final long serialVersionUID = 1L;

  private final TransformerConfig config;

  /**
   * The sum over a row's learned tokens.
   *
   * @param id of the row
   * @param nats Σ log π(token | what stands before it)
   * @param tokens how many there are
   */
  public record OfRow(String id, double nats, int tokens) implements Serializable {
    private static final long serialVersionUID = 1L;
  }

  /** For a causal language model. */
  public LogProbabilities(TransformerConfig config) {
    this.config = config;
  }

  @Override
  public List<OfRow> apply(float[] weights, List<TextExample> rows) {
    SequenceBatch batch =
        SequenceBatch.predicting(
            rows.stream().map(TextExample::tokens).toList(),
            rows.stream().map(TextExample::learned).toList());
    try (ReplicaPool.Lease lease = ReplicaPool.lease(config, weights, 0);
        GradMode ignored = GradMode.inference();
        NDManager manager = lease.replica().newManager()) {
      NDArray logits = batch.outputs(lease.replica(), manager, false);
      float[][] values =
          batch.bySequence(SequenceBatch.logProbabilities(logits, batch.labels(manager)));
      List<OfRow> sums = new ArrayList<>();
      for (int i = 0; i < values.length; i++) {
        double nats = 0;
        for (float value : values[i]) {
          nats += value;
        }
        sums.add(new OfRow(rows.get(i).id(), nats, values[i].length));
      }
      return sums;
    }
  }
}
