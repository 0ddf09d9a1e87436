package io.github.sparkrlhf.ppo;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import io.github.sparkrlhf.lm.GradMode;
import io.github.sparkrlhf.lm.LanguageModel;
import io.github.sparkrlhf.lm.ReplicaPool;
import io.github.sparkrlhf.lm.SequenceBatch;
import io.github.sparkrlhf.lm.TransformerConfig;
import io.github.sparkrlhf.training.LaneSettings;
import io.github.sparkrlhf.training.LanguageModelObjective;
import io.github.sparkrlhf.training.TextExample;
import io.github.sparkrlhf.training.TrainingEngine;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.spark.api.java.JavaSparkContext;

/** Log-probabilities of the tokens of responses under a language model, in nats. */
public final class ResponseLogProbabilities {
  private record Output(String id, float[] values) implements Serializable {
    private static final long serialVersionUID = 1L;
  }

  private ResponseLogProbabilities() {}

  /**
   * Those of responses that the driver holds, wherever they were made.
   *
   * @param rows prompts and responses; ids are unique
   * @param lanes cut the micro-batches, which decide the last bits
   * @param temperature that the logits are divided by
   * @param description of the work
   * @return by id, one number for each token of the response
   */
  public static Map<String, float[]> of(
      JavaSparkContext context,
      LanguageModel model,
      List<TextExample> rows,
      LaneSettings lanes,
      double temperature,
      String description) {
    TransformerConfig config = model.config();
    Map<String, float[]> byId = new HashMap<>();
    try (TrainingEngine<TextExample> engine =
        new TrainingEngine<>(context, rows, lanes, new LanguageModelObjective(config))) {
      engine
          .map(
              model.weights(),
              0,
              description,
              (weights, batch) -> outputs(config, weights, batch, temperature))
          .forEach(output -> byId.put(output.id(), output.values()));
    }
    return byId;
  }

  private static List<Output> outputs(
      TransformerConfig config, float[] weights, List<TextExample> rows, double temperature) {
    float[][] values =
        of(
            config,
            weights,
            SequenceBatch.predicting(
                rows.stream().map(TextExample::tokens).toList(),
                rows.stream().map(TextExample::learned).toList()),
            temperature);
    List<Output> outputs = new ArrayList<>();
    for (int i = 0; i < rows.size(); i++) {
      outputs.add(new Output(rows.get(i).id(), values[i]));
    }
    return outputs;
  }

  /** Those of the tokens that a batch predicts, [sequences][tokens]. */
  static float[][] of(
      TransformerConfig config, float[] weights, SequenceBatch batch, double temperature) {
    try (ReplicaPool.Lease lease = ReplicaPool.lease(config, weights, 0);
        GradMode ignored = GradMode.inference();
        NDManager manager = lease.replica().newManager()) {
      NDArray logits =
          SequenceBatch.tempered(batch.outputs(lease.replica(), manager, false), temperature);
      return batch.bySequence(SequenceBatch.logProbabilities(logits, batch.labels(manager)));
    }
  }
}
