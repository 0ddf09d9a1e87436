package io.github.sparkrlhf.reward;

import io.github.sparkrlhf.lm.LanguageModel;
import io.github.sparkrlhf.lm.Tokenizer;
import io.github.sparkrlhf.lm.TokenizerFile;
import io.github.sparkrlhf.training.Checkpoints;
import io.github.sparkrlhf.training.LaneSettings;
import io.github.sparkrlhf.training.Progress;
import io.github.sparkrlhf.training.Trainer;
import io.github.sparkrlhf.training.TrainingEngine;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;

/** Fits a transformer reward model to pairs, data-parallel. */
public final class TransformerRewardTrainer {
  private final LanguageModel initial;
  private final LaneSettings lanes;
  private final Trainer.Settings settings;
  private final double marginScale;

  /**
   * A trainer.
   *
   * @param initial with a classification head
   * @param marginScale what the pairs' margins are multiplied by to give the margin of the loss; 0
   *     for a loss without margin
   */
  public TransformerRewardTrainer(
      LanguageModel initial, LaneSettings lanes, Trainer.Settings settings, double marginScale) {
    this.initial = initial;
    this.lanes = lanes;
    this.settings = settings;
    this.marginScale = marginScale;
  }

  /**
   * Fits the model.
   *
   * @param pairs pair_id (unique), prompt, chosen, rejected, probability, margin
   */
  public TransformerRewardModel fit(
      Dataset<Row> pairs, Checkpoints checkpoints, java.io.PrintStream out) {
    JavaSparkContext context =
        JavaSparkContext.fromSparkContext(pairs.sparkSession().sparkContext());
    try (TrainingEngine<PairExample> engine =
        new TrainingEngine<>(
            context, examples(pairs), lanes, new PairwiseObjective(initial.config()))) {
      Trainer<PairExample> trainer = new Trainer<>(engine, settings, "reward");
      Progress progress = new Progress(out, "reward", trainer.totalSteps());
      Trainer.Result result =
          trainer.train(initial.weights(), initial.config().layout(), checkpoints, progress);
      return new TransformerRewardModel(initial.withWeights(result.weights()));
    }
  }

  private JavaRDD<PairExample> examples(Dataset<Row> pairs) {
    TokenizerFile file = initial.tokenizer();
    int maxTokens = initial.config().maxPositions();
    double scale = marginScale;
    return pairs
        .select("pair_id", "prompt", "chosen", "rejected", "probability", "margin")
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
                  Math.max(0, scale * row.getDouble(5)));
            });
  }
}
