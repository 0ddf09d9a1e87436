package io.github.sparkrlhf.reward;

import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.concat_ws;
import static org.apache.spark.sql.functions.lit;
import static org.apache.spark.sql.functions.sha2;

import io.github.sparkrlhf.spark.JobFailure;
import io.github.sparkrlhf.training.LaneSettings;
import io.github.sparkrlhf.training.LearningRateSchedule;
import io.github.sparkrlhf.training.Trainer;
import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;
import org.apache.spark.ml.Estimator;
import org.apache.spark.ml.param.DoubleParam;
import org.apache.spark.ml.param.IntParam;
import org.apache.spark.ml.param.LongParam;
import org.apache.spark.ml.param.Param;
import org.apache.spark.ml.param.ParamMap;
import org.apache.spark.ml.util.DefaultParamsReader;
import org.apache.spark.ml.util.DefaultParamsWritable;
import org.apache.spark.ml.util.Identifiable$;
import org.apache.spark.ml.util.MLReader;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.types.StructType;

/**
 * The reward models that learn from features of text, as an estimator of Spark ML: in a Pipeline,
 * in a CrossValidator, saved and loaded. It is fitted to pairs: prompt, chosen, rejected, and if
 * there are such columns the probability that {@code chosen} is the better one (else 1) and the
 * weight of the pair (else 1).
 *
 * <p>What it does not offer, such as transformers and ratings, trainers and {@link
 * RewardModelTransformer#RewardModelTransformer(RewardModel)} do.
 */
public final class RewardEstimator extends Estimator<RewardModelTransformer>
    implements DefaultParamsWritable {
  private static final long serialVersionUID = 1L;
  private static final List<String> KINDS =
      List.of(
          BradleyTerryModel.KIND,
          ForestModel.RANDOM_FOREST,
          ForestModel.GRADIENT_BOOSTED,
          MlpModel.KIND);

  private final String uid;
  private final Param<String> kind;
  private final Param<String> promptCol;
  private final Param<String> chosenCol;
  private final Param<String> rejectedCol;
  private final DoubleParam regularization;
  private final IntParam trees;
  private final IntParam maxDepth;
  private final IntParam hidden;
  private final IntParam epochs;
  private final IntParam buckets;
  private final LongParam seed;

  /** An estimator of the kind bradley-terry with the defaults of its trainer. */
  public RewardEstimator() {
    this(Identifiable$.MODULE$.randomUID("rewardEstimator"));
  }

  /** {@link #RewardEstimator()} of the given uid. */
  public RewardEstimator(String uid) {
    this.uid = uid;
    kind = new Param<>(this, "kind", "kind of reward model, one of " + KINDS);
    promptCol = new Param<>(this, "promptCol", "column of the prompt");
    chosenCol = new Param<>(this, "chosenCol", "column of the better response");
    rejectedCol = new Param<>(this, "rejectedCol", "column of the other response");
    regularization =
        new DoubleParam(this, "regularization", "bradley-terry: strength of the L2 penalty");
    trees = new IntParam(this, "trees", "forests: number of trees");
    maxDepth =
        new IntParam(
            this, "maxDepth", "forests: splits between root and leaf, at most; 0 for the default");
    hidden = new IntParam(this, "hidden", "mlp: width of the hidden layer");
    epochs = new IntParam(this, "epochs", "mlp: times through all responses");
    buckets = new IntParam(this, "buckets", "forests, mlp: hash buckets for words");
    seed = new LongParam(this, "seed", "forests, mlp: seed");
    setDefault(kind, BradleyTerryModel.KIND);
    setDefault(promptCol, RewardModel.PROMPT);
    setDefault(chosenCol, "chosen");
    setDefault(rejectedCol, "rejected");
    setDefault(regularization, BradleyTerryTrainer.DEFAULT_REGULARIZATION);
    setDefault(trees, ForestTrainer.DEFAULT_TREES);
    setDefault(maxDepth, 0);
    setDefault(hidden, MlpTrainer.DEFAULT_HIDDEN);
    setDefault(epochs, MlpTrainer.DEFAULT_EPOCHS);
    setDefault(buckets, 0);
    setDefault(seed, 0L);
  }

  @Override
  public String uid() {
    return uid;
  }

  /** The kind of reward model. */
  public Param<String> kind() {
    return kind;
  }

  /** The column of the prompt. */
  public Param<String> promptCol() {
    return promptCol;
  }

  /** The column of the better response. */
  public Param<String> chosenCol() {
    return chosenCol;
  }

  /** The column of the other response. */
  public Param<String> rejectedCol() {
    return rejectedCol;
  }

  /** bradley-terry: the strength of the L2 penalty. */
  public DoubleParam regularization() {
    return regularization;
  }

  /** Forests: the number of trees. */
  public IntParam trees() {
    return trees;
  }

  /** Forests: the depth of trees; 0 for the kind's default. */
  public IntParam maxDepth() {
    return maxDepth;
  }

  /** mlp: the width of the hidden layer. */
  public IntParam hidden() {
    return hidden;
  }

  /** mlp: times through all responses. */
  public IntParam epochs() {
    return epochs;
  }

  /** Forests and mlp: hash buckets for words. */
  public IntParam buckets() {
    return buckets;
  }

  /** Forests and mlp: the seed. */
  public LongParam seed() {
    return seed;
  }

  /** Sets a param, such as {@code with(estimator.kind(), "mlp")}. */
  public <T> RewardEstimator with(Param<T> param, T value) {
    set(param, value);
    return this;
  }

  @Override
  public RewardModelTransformer fit(Dataset<?> dataset) {
    Dataset<Row> rows = dataset.toDF();
    List<String> columns = Arrays.asList(rows.columns());
    Column certain = lit(1.0);
    Dataset<Row> pairs =
        rows.select(
            col(getOrDefault(promptCol)).cast("string").as(RewardModel.PROMPT),
            col(getOrDefault(chosenCol)).cast("string").as("chosen"),
            col(getOrDefault(rejectedCol)).cast("string").as("rejected"),
            (columns.contains("probability") ? col("probability").cast("double") : certain)
                .as("probability"),
            (columns.contains("weight") ? col("weight").cast("double") : certain).as("weight"));
    Dataset<Row> identified =
        pairs.withColumn(
            "pair_id",
            sha2(concat_ws("\u0000", col("prompt"), col("chosen"), col("rejected")), 256));
    return copyValues(
        new RewardModelTransformer(trainer().fit(identified)).setParent(this), ParamMap.empty());
  }

  private RewardTrainer trainer() {
    String wanted = getOrDefault(kind);
    return switch (wanted) {
      case BradleyTerryModel.KIND ->
          new BradleyTerryTrainer().setRegularization((Double) getOrDefault(regularization));
      case ForestModel.RANDOM_FOREST -> forest(ForestTrainer.randomForest());
      case ForestModel.GRADIENT_BOOSTED -> forest(ForestTrainer.gradientBoosted());
      case MlpModel.KIND -> mlp();
      default ->
          throw JobFailure.usage(
              "Cannot fit a reward model: kind '%s' is none of %s".formatted(wanted, KINDS));
    };
  }

  private ForestTrainer forest(ForestTrainer trainer) {
    int depth = (Integer) getOrDefault(maxDepth);
    if (depth > 0) {
      trainer.setMaxDepth(depth);
    }
    return trainer
        .setTrees((Integer) getOrDefault(trees))
        .setBuckets((Integer) getOrDefault(buckets))
        .setSeed((Long) getOrDefault(seed));
  }

  private MlpTrainer mlp() {
    Trainer.Settings settings =
        new Trainer.Settings(
            (Integer) getOrDefault(epochs),
            1e-3,
            0.05,
            LearningRateSchedule.Decay.COSINE,
            0.01,
            1.0,
            Integer.MAX_VALUE);
    return new MlpTrainer(
        List.of((Integer) getOrDefault(hidden)),
        (Integer) getOrDefault(buckets),
        new LaneSettings(4, 16, (Long) getOrDefault(seed), LaneSettings.Order.SHUFFLED),
        settings,
        new PrintStream(OutputStream.nullOutputStream(), false, StandardCharsets.UTF_8));
  }

  @Override
  public StructType transformSchema(StructType schema) {
    for (Param<String> column : List.of(promptCol, chosenCol, rejectedCol)) {
      schema.fieldIndex(getOrDefault(column));
    }
    return RewardModelTransformer.withScore(schema);
  }

  @Override
  public RewardEstimator copy(ParamMap extra) {
    return defaultCopy(extra);
  }

  /** Reads what {@code write} wrote. */
  public static MLReader<RewardEstimator> read() {
    return new DefaultParamsReader<>();
  }

  /** Reads what {@code save} wrote. */
  public static RewardEstimator load(String path) {
    return read().load(path);
  }
}
