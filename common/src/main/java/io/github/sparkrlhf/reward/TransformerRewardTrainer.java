package io.github.sparkrlhf.reward;

import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.lit;

import io.github.sparkrlhf.lm.Safetensors;
import io.github.sparkrlhf.lm.Tokenizer;
import io.github.sparkrlhf.lm.TokenizerFile;
import io.github.sparkrlhf.lm.TransformerConfig;
import io.github.sparkrlhf.training.Checkpoints;
import io.github.sparkrlhf.training.Example;
import io.github.sparkrlhf.training.LaneSettings;
import io.github.sparkrlhf.training.Objective;
import io.github.sparkrlhf.training.Progress;
import io.github.sparkrlhf.training.Trainables;
import io.github.sparkrlhf.training.Trainer;
import io.github.sparkrlhf.training.TrainingEngine;
import io.github.sparkrlhf.training.Validation;
import java.io.PrintStream;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
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
  private final PairwiseSettings loss;
  private Dataset<Row> heldOut;
  private Validation.Settings validation;

  /**
   * A trainer.
   *
   * @param trainables what to train of one model with a classification head
   * @param loss of a pair; with ties the pairs have a column tie_probability
   */
  public TransformerRewardTrainer(
      Trainables trainables, LaneSettings lanes, Trainer.Settings settings, PairwiseSettings loss) {
    this.trainables = trainables;
    this.lanes = lanes;
    this.settings = settings;
    this.loss = loss;
  }

  /**
   * Measures the loss on other pairs, and may stop by it; see {@link Validation}.
   *
   * @param heldOut columns as what is fitted to
   */
  public TransformerRewardTrainer optValidation(
      Dataset<Row> heldOut, Validation.Settings validation) {
    this.heldOut = heldOut;
    this.validation = validation;
    return this;
  }

  /**
   * Fits the model.
   *
   * @param pairs pair_id (unique), prompt, chosen, rejected, probability, margin
   * @return what was trained, flat, and how it went
   */
  public Trainer.Result fit(Dataset<Row> pairs, Checkpoints checkpoints, PrintStream out) {
    Objective<PairExample> objective = new PairwiseObjective(config(), loss);
    return train(
        engine(pairs, examples(pairs), objective),
        validation == null ? null : engine(pairs, examples(heldOut), objective),
        checkpoints,
        out);
  }

  /**
   * Fits the model to rankings by {@link ListwiseObjective}.
   *
   * @param rankings as {@link Rankings#of} gives them, as are those of {@link #optValidation}
   * @return what was trained, flat, and how it went
   */
  public Trainer.Result fitRankings(
      Dataset<Row> rankings, Checkpoints checkpoints, PrintStream out) {
    Objective<RankingExample> objective = new ListwiseObjective(config());
    return train(
        engine(rankings, rankingExamples(rankings), objective),
        validation == null ? null : engine(rankings, rankingExamples(heldOut), objective),
        checkpoints,
        out);
  }

  private <E extends Example> Trainer.Result train(
      TrainingEngine<E> learned,
      TrainingEngine<E> measured,
      Checkpoints checkpoints,
      PrintStream out) {
    try (learned;
        measured) {
      Trainer<E> trainer = new Trainer<>(learned, settings, "reward");
      if (measured != null) {
        trainer.optValidation(
            new Validation<>(measured, validation, TransformerRewardTrainer::describe));
      }
      Progress progress = new Progress(out, "reward", trainer.totalSteps());
      return trainer.train(trainables.initial(), trainables.layout(0), checkpoints, progress);
    }
  }

  private <E extends Example> TrainingEngine<E> engine(
      Dataset<Row> rows, JavaRDD<E> examples, Objective<E> objective) {
    JavaSparkContext context =
        JavaSparkContext.fromSparkContext(rows.sparkSession().sparkContext());
    return new TrainingEngine<>(context, examples, lanes, trainables.objective(objective));
  }

  private TransformerConfig config() {
    return trainables.initialModel(0).config();
  }

  private static String describe(Validation.Measurement measurement) {
    return String.format(
        Locale.ROOT,
        "epoch %d, step %d: loss %.4f nats on held-out rows, accuracy %.4f of their pairs",
        measurement.epoch(),
        measurement.step(),
        measurement.loss(),
        measurement.sums().get(PairwiseObjective.CORRECT)
            / measurement.sums().get(PairwiseObjective.DECIDED));
  }

  /**
   * This training as one that leaves no checkpoints and so cannot be resumed, such as one of many
   * folds.
   *
   * @param out where progress is told
   */
  public RewardTrainer withoutCheckpoints(PrintStream out) {
    TransformerRewardTrainer trainer =
        new TransformerRewardTrainer(trainables, lanes, withoutCheckpoints(settings), loss);
    Checkpoints none = noCheckpoints(trainables.layout(0).tensors(""));
    return pairs ->
        new TransformerRewardModel(trainables.model(0, trainer.fit(pairs, none, out).weights()));
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
    double scale = loss.marginScale();
    return pairs
        .select(
            col("pair_id"),
            col("prompt"),
            col("chosen"),
            col("rejected"),
            col("probability"),
            col("margin"),
            loss.ties() == null ? lit(0.0) : col("tie_probability"))
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

  private JavaRDD<RankingExample> rankingExamples(Dataset<Row> rankings) {
    TokenizerFile file = trainables.initialModel(0).tokenizer();
    int maxTokens = config().maxPositions();
    return rankings
        .select("id", "prompt", "ranked")
        .javaRDD()
        .map(
            row -> {
              Tokenizer tokenizer = Tokenizer.of(file);
              List<Row> ranked = row.getList(2);
              int[][] sequences = new int[ranked.size()][];
              int[] groups = new int[ranked.size()];
              for (int i = 0; i < groups.length; i++) {
                sequences[i] =
                    RewardInput.tokens(
                        tokenizer, row.getString(1), ranked.get(i).getString(1), maxTokens);
                boolean equal =
                    i > 0 && ranked.get(i).getDouble(0) == ranked.get(i - 1).getDouble(0);
                groups[i] = equal ? groups[i - 1] : i;
              }
              return new RankingExample(row.getString(0), sequences, groups);
            });
  }
}
