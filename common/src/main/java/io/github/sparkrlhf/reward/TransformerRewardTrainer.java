package io.github.sparkrlhf.reward;

import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.lit;

import io.github.sparkrlhf.lm.Safetensors;
import io.github.sparkrlhf.lm.Tokenizer;
import io.github.sparkrlhf.lm.TokenizerFile;
import io.github.sparkrlhf.lm.TransformerConfig;
import io.github.sparkrlhf.training.Checkpoints;
import io.github.sparkrlhf.training.LaneSettings;
import io.github.sparkrlhf.training.Progress;
import io.github.sparkrlhf.training.Trainables;
import io.github.sparkrlhf.training.Trainer;
import io.github.sparkrlhf.training.TrainingEngine;
import java.io.PrintStream;
import java.nio.file.Path;
import java.util.List;
import java.util.UUID;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;

/** Fits a transformer reward model to pairs, data-parallel. */
public final class TransformerRewardTrainer {
  private final Trainables trainables;
  private final LaneSettings lanes;
  private final Trainer.Settings settings;
  private final double marginScale;
  private TieModel ties;

  /**
   * A trainer.
   *
   * @param trainables what to train of one model with a classification head
   * @param marginScale what the pairs' margins are multiplied by to give the margin of the loss; 0
   *     for a loss without margin
   */
  public TransformerRewardTrainer(
      Trainables trainables, LaneSettings lanes, Trainer.Settings settings, double marginScale) {
    this.trainables = trainables;
    this.lanes = lanes;
    this.settings = settings;
    this.marginScale = marginScale;
  }

  /**
   * Takes ties for an outcome of their own; the pairs then have a column tie_probability.
   *
   * @param model how probable ties are
   */
  public TransformerRewardTrainer optTies(TieModel model) {
    this.ties = model;
    return this;
  }

  /**
   * Fits the model.
   *
   * @param pairs pair_id (unique), prompt, chosen, rejected, probability, margin
   * @return what was trained, flat
   */
  public float[] fit(Dataset<Row> pairs, Checkpoints checkpoints, PrintStream out) {
    JavaSparkContext context =
        JavaSparkContext.fromSparkContext(pairs.sparkSession().sparkContext());
    TransformerConfig config = trainables.initialModel(0).config();
    try (TrainingEngine<PairExample> engine =
        new TrainingEngine<>(
            context,
            examples(pairs),
            lanes,
            trainables.objective(new PairwiseObjective(config, ties)))) {
      Trainer<PairExample> trainer = new Trainer<>(engine, settings, "reward");
      Progress progress = new Progress(out, "reward", trainer.totalSteps());
      return trainer
          .train(trainables.initial(), trainables.layout(0), checkpoints, progress)
          .weights();
    }
  }

  /**
   * This training as one that leaves no checkpoints and so cannot be resumed, such as one of many
   * folds.
   *
   * @param out where progress is told
   */
  public RewardTrainer withoutCheckpoints(PrintStream out) {
    TransformerRewardTrainer trainer =
        new TransformerRewardTrainer(trainables, lanes, withoutCheckpoints(settings), marginScale)
            .optTies(ties);
    Checkpoints none = noCheckpoints(trainables.layout(0).tensors(""));
    return pairs -> new TransformerRewardModel(trainables.model(0, trainer.fit(pairs, none, out)));
  }

  /** The same settings, but no step is followed by a checkpoint. */
  static Trainer.Settings withoutCheckpoints(Trainer.Settings settings) {
    return new Trainer.Settings(
        settings.epochs(),
        settings.learningRate(),
        settings.warmupShare(),
        settings.decay(),
        settings.weightDecay(),
        settings.maxGradientNorm(),
        Integer.MAX_VALUE,
        settings.localSteps());
  }

  /** Where a training finds no checkpoint; a directory that does not exist and is never made. */
  static Checkpoints noCheckpoints(List<Safetensors.Tensor> parameters) {
    Path nowhere = Path.of(System.getProperty("java.io.tmpdir"), UUID.randomUUID().toString());
    return new Checkpoints(nowhere, "", parameters, Checkpoints.DEFAULT_KEPT);
  }

  private JavaRDD<PairExample> examples(Dataset<Row> pairs) {
    TokenizerFile file = trainables.initialModel(0).tokenizer();
    int maxTokens = trainables.initialModel(0).config().maxPositions();
    double scale = marginScale;
    return pairs
        .select(
            col("pair_id"),
            col("prompt"),
            col("chosen"),
            col("rejected"),
            col("probability"),
            col("margin"),
            ties == null ? lit(0.0) : col("tie_probability"))
        .javaRDD()
        .map(
            row -> {
              Tokenizer tokenizer = Tokenizer.of(file);
              String prompt = row.getString(1);
              return new PairExample(
                  row.getString(0),
                  RewardInput.tokens(tokenizer, prompt, row.getString(2), maxTokens),
                  RewardInput.tokens(tokenizer, prompt, row.getString(3), maxTokens),
                  row.getDouble(4),
                  row.getDouble(6),
                  Math.max(0, scale * row.getDouble(5)));
            });
  }
}
