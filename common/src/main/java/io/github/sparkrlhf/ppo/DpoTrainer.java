package io.github.sparkrlhf.ppo;

import io.github.sparkrlhf.lm.LanguageModel;
import io.github.sparkrlhf.lm.Tokenizer;
import io.github.sparkrlhf.lm.TokenizerFile;
import io.github.sparkrlhf.lm.TransformerConfig;
import io.github.sparkrlhf.spark.JobFailure;
import io.github.sparkrlhf.training.Checkpoints;
import io.github.sparkrlhf.training.FloatArray;
import io.github.sparkrlhf.training.LaneSettings;
import io.github.sparkrlhf.training.Progress;
import io.github.sparkrlhf.training.TextExample;
import io.github.sparkrlhf.training.Trainables;
import io.github.sparkrlhf.training.Trainer;
import io.github.sparkrlhf.training.TrainingEngine;
import io.github.sparkrlhf.training.Validation;
import java.io.PrintStream;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.broadcast.Broadcast;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;

/**
 * Direct preference optimisation (Rafailov et al., 2023): a policy learns from pairs, without a
 * reward model and without sampling, data-parallel. The policy before the training is the
 * reference; its log-probabilities are computed once per pair and stay on the executors.
 */
public final class DpoTrainer implements AutoCloseable {
  private static final String NAME = "dpo";

  private final JavaSparkContext context;
  private final Trainables trainables;
  private final LaneSettings lanes;
  private final Trainer.Settings settings;
  private final DpoSettings loss;
  private final Broadcast<FloatArray> own;

  /**
   * A trainer; close it when its weights are no longer trained or measured.
   *
   * @param trainables what to train of one causal language model, which is also the reference
   */
  public DpoTrainer(
      JavaSparkContext context,
      Trainables trainables,
      LaneSettings lanes,
      Trainer.Settings settings,
      DpoSettings loss) {
    this.context = context;
    this.trainables = trainables;
    this.lanes = lanes;
    this.settings = settings;
    this.loss = loss;
    // With adapters the executors have the reference already: it is the policy without them.
    this.own =
        trainables.base().isPresent()
            ? null
            : context.broadcast(new FloatArray(reference().weights().clone()));
  }

  /**
   * Trains, from the newest checkpoint if there is one.
   *
   * @param pairs pair_id (unique), prompt, chosen, rejected, probability
   * @param heldOut columns as the pairs; the loss is measured on them, and may end the training
   * @param validation when to measure; null for never
   * @return what was trained, flat, and how it went
   * @throws JobFailure if a prompt leaves no room for a response, or a loss is not finite
   */
  public Trainer.Result fit(
      Dataset<Row> pairs,
      Dataset<Row> heldOut,
      Validation.Settings validation,
      Checkpoints checkpoints,
      PrintStream out) {
    try (TrainingEngine<DpoExample> learned = engine(pairs);
        TrainingEngine<DpoExample> measured = validation == null ? null : engine(heldOut)) {
      Trainer<DpoExample> trainer = new Trainer<>(learned, settings, NAME);
      if (measured != null) {
        trainer.optValidation(new Validation<>(measured, validation, DpoTrainer::describe));
      }
      out.printf("%d pairs, %d steps%n", learned.rows(), trainer.totalSteps());
      Progress progress = new Progress(out, NAME, trainer.totalSteps());
      return trainer.train(trainables.initial(), trainables.layout(0), checkpoints, progress);
    }
  }

  /**
   * {@link DpoObjective#metrics} of other pairs.
   *
   * @param trained as {@link #fit} returns it
   */
  public Map<String, Double> measure(Dataset<Row> pairs, float[] trained, String description) {
    try (TrainingEngine<DpoExample> engine = engine(pairs)) {
      double[] sums = engine.evaluate(trained, NAME + ": " + description);
      return DpoObjective.metrics(Arrays.stream(sums).boxed().toList());
    }
  }

  private LanguageModel reference() {
    return trainables.initialModel(0);
  }

  private TrainingEngine<DpoExample> engine(Dataset<Row> pairs) {
    TransformerConfig config = reference().config();
    return new TrainingEngine<>(
            context, examples(pairs), lanes, trainables.objective(new DpoObjective(config, loss)))
        .prepared(
            trainables.base().orElse(own),
            NAME + ": log-probabilities of the reference",
            (weights, rows) -> withReference(config, weights, rows));
  }

  /** The pairs with the reference's log-probabilities. */
  static List<DpoExample> withReference(
      TransformerConfig config, float[] weights, List<DpoExample> rows) {
    float[][] reference = ResponseLogProbabilities.of(config, weights, DpoObjective.batch(rows), 1);
    List<DpoExample> prepared = new ArrayList<>();
    for (int i = 0; i < rows.size(); i++) {
      prepared.add(rows.get(i).withReference(reference[i], reference[rows.size() + i]));
    }
    return prepared;
  }

  private JavaRDD<DpoExample> examples(Dataset<Row> pairs) {
    TokenizerFile file = reference().tokenizer();
    int maxTokens = reference().config().maxPositions();
    return pairs
        .select("pair_id", "prompt", "chosen", "rejected", "probability")
        .javaRDD()
        .map(row -> example(Tokenizer.of(file), row, maxTokens));
  }

  private static DpoExample example(Tokenizer tokenizer, Row row, int maxTokens) {
    int[] prompt = tokenizer.encodePrompt(row.getString(1));
    if (prompt.length >= maxTokens) {
      throw JobFailure.usage(
          "Cannot optimise preferences: the prompt of pair %s has %d tokens and the model has room for %d"
              .formatted(row.getString(0), prompt.length, maxTokens));
    }
    return new DpoExample(
        row.getString(0),
        prompt.length,
        sequence(prompt, tokenizer.encodeResponse(row.getString(2)), maxTokens),
        sequence(prompt, tokenizer.encodeResponse(row.getString(3)), maxTokens),
        row.getDouble(4));
  }

  /** A response that is too long loses its end. */
  private static int[] sequence(int[] prompt, int[] response, int maxTokens) {
    int[] sequence = TextExample.concatenated(prompt, response);
    return sequence.length <= maxTokens ? sequence : Arrays.copyOf(sequence, maxTokens);
  }

  private static String describe(Validation.Measurement measurement) {
    Map<String, Double> metrics = DpoObjective.metrics(measurement.sums());
    return String.format(
        Locale.ROOT,
        "epoch %d, step %d: on held-out pairs loss %.4f, accuracy %.4f, margin of rewards %.3f",
        measurement.epoch(),
        measurement.step(),
        measurement.loss(),
        metrics.getOrDefault("rewards/accuracies", Double.NaN),
        metrics.get("rewards/margins"));
  }

  @Override
  public void close() {
    if (own != null) {
      own.destroy();
    }
  }
}
