package io.github.sparkrlhf.reward;

import io.github.sparkrlhf.spark.JobDescriptions;
import io.github.sparkrlhf.spark.JobFailure;
import java.util.List;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.broadcast.Broadcast;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.api.java.UDF2;
import org.apache.spark.sql.expressions.UserDefinedFunction;
import org.apache.spark.sql.functions;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.storage.StorageLevel;

/**
 * Fits a {@link BradleyTerryModel}: logistic regression without intercept on the difference of the
 * features of the two responses, whose labels are probabilities. Data-parallel: each task holds a
 * share of the pairs, the driver takes the steps of L-BFGS.
 */
public final class BradleyTerryTrainer implements RewardTrainer {
  /** The default of {@link #setBuckets}. */
  public static final int DEFAULT_BUCKETS = 1 << 15;

  /** The default of {@link #setRegularization}. */
  public static final double DEFAULT_REGULARIZATION = 5e-4;

  /** The columns that {@link #prepare} adds: what is known of each text without other texts. */
  private static final String CHOSEN_COUNTS = "chosen_counts";

  private static final String REJECTED_COUNTS = "rejected_counts";

  /** Into how many sums the pairs are dealt by their ids, at least. */
  private static final int LANES = 8;

  /** More lanes are made where each would hold more pairs, some hundred megabytes. */
  private static final int PAIRS_PER_LANE = 1 << 16;

  private static final int MAX_ITERATIONS = 200;

  /** The optimiser ends when the gradient has become so much shorter. */
  private static final double TOLERANCE = 1e-5;

  private int buckets = DEFAULT_BUCKETS;
  private List<FeatureBlock> features = FeatureBlock.parse(FeatureBlock.DEFAULT);
  private double regularization = DEFAULT_REGULARIZATION;
  private HiddenStates states = HiddenStates.NONE;
  private boolean weighted;

  /** Sets the number of hash buckets of each block that is hashed. */
  public BradleyTerryTrainer setBuckets(int buckets) {
    this.buckets = buckets;
    return this;
  }

  /** Sets what the model reads; see {@link FeatureBlock#parse}. */
  public BradleyTerryTrainer setFeatures(List<FeatureBlock> features) {
    this.features = List.copyOf(features);
    return this;
  }

  /** Sets the language model that is asked if there are states among the features. */
  public BradleyTerryTrainer setStates(HiddenStates states) {
    this.states = states;
    return this;
  }

  /** Sets the strength of the penalty on the weights. */
  public BradleyTerryTrainer setRegularization(double regularization) {
    this.regularization = regularization;
    return this;
  }

  /** Sets whether a pair counts by its column {@code weight}; otherwise all count the same. */
  public BradleyTerryTrainer setWeighted(boolean weighted) {
    this.weighted = weighted;
    return this;
  }

  /**
   * {@inheritDoc}
   *
   * <p>Adds what can be said of the texts one by one: numbers, buckets and how often they occur.
   * Scales and document frequencies are not among it; each fit takes them from its own pairs.
   */
  @Override
  public Dataset<Row> prepare(Dataset<Row> pairs) {
    TextFeatures.Settings settings = settings();
    Broadcast<HiddenStates> shared =
        JavaSparkContext.fromSparkContext(pairs.sparkSession().sparkContext()).broadcast(states);
    UDF2<String, String, byte[]> counts =
        (prompt, response) ->
            TextFeatures.counts(settings, shared.value(), prompt, response).toBytes();
    UserDefinedFunction udf = functions.udf(counts, DataTypes.BinaryType);
    return pairs
        .withColumn(CHOSEN_COUNTS, udf.apply(functions.col("prompt"), functions.col("chosen")))
        .withColumn(REJECTED_COUNTS, udf.apply(functions.col("prompt"), functions.col("rejected")));
  }

  /**
   * Fits a model. The same pairs give the same bits, whatever their order and partitioning.
   *
   * @param pairs the training split of the table {@code pairs}: pair_id, prompt, chosen, rejected,
   *     probability, and weight if pairs are weighted
   * @throws JobFailure if there is no pair
   */
  @Override
  public BradleyTerryModel fit(Dataset<Row> pairs) {
    boolean prepared = List.of(pairs.columns()).contains(CHOSEN_COUNTS);
    // Sums of floating-point numbers depend on their order, so the rows alone decide it.
    int laneCount = (int) Math.max(LANES, pairs.count() / PAIRS_PER_LANE);
    JavaRDD<Row> lanes =
        (prepared ? pairs : prepare(pairs))
            .withColumn("weight", weighted ? functions.col("weight") : functions.lit(1.0))
            .select(
                "probability",
                "weight",
                CHOSEN_COUNTS,
                REJECTED_COUNTS,
                "pair_id",
                "prompt",
                "chosen",
                "rejected")
            .repartition(laneCount, functions.col("pair_id"))
            .sortWithinPartitions("pair_id", "prompt", "chosen", "rejected", "probability")
            .select("probability", "weight", CHOSEN_COUNTS, REJECTED_COUNTS)
            .javaRDD()
            .persist(StorageLevel.MEMORY_AND_DISK());
    try {
      return JobDescriptions.described(
          pairs.sparkSession().sparkContext(), "reward: fit Bradley–Terry", () -> fitLanes(lanes));
    } finally {
      lanes.unpersist();
    }
  }

  private TextFeatures.Settings settings() {
    return new TextFeatures.Settings(
        features.stream().map(block -> block.withStateSize(states.size())).toList(), buckets);
  }

  private BradleyTerryModel fitLanes(JavaRDD<Row> lanes) {
    TextFeatures features = FeatureStatistics.of(lanes, settings()).features();
    JavaRDD<PairBlock> blocks =
        lanes
            .mapPartitions(rows -> List.of(PairBlock.of(features, rows)).iterator())
            .persist(StorageLevel.MEMORY_AND_DISK());
    try {
      BradleyTerryLoss loss =
          new BradleyTerryLoss(blocks, regularization, BradleyTerryLoss.DRIVER_BYTES);
      double[] coefficients = Lbfgs.minimise(loss, features.size(), MAX_ITERATIONS, TOLERANCE);
      float[] weights = new float[coefficients.length];
      for (int i = 0; i < weights.length; i++) {
        weights[i] = (float) coefficients[i];
      }
      return new BradleyTerryModel(features, states, weights);
    } finally {
      blocks.unpersist();
    }
  }
}
