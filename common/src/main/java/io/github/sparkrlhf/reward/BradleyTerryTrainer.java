package io.github.sparkrlhf.reward;

import io.github.sparkrlhf.spark.JobDescriptions;
import io.github.sparkrlhf.spark.JobFailure;
import java.util.ArrayList;
import java.util.List;
import org.apache.spark.api.java.function.FlatMapFunction;
import org.apache.spark.ml.classification.LogisticRegression;
import org.apache.spark.ml.classification.LogisticRegressionModel;
import org.apache.spark.ml.linalg.SQLDataTypes;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.api.java.UDF2;
import org.apache.spark.sql.catalyst.encoders.ExpressionEncoder;
import org.apache.spark.sql.expressions.UserDefinedFunction;
import org.apache.spark.sql.functions;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.storage.StorageLevel;

/**
 * Fits a {@link BradleyTerryModel}: logistic regression without intercept on the difference of the
 * features of the two responses. A pair on which votes are split, or tied, is two weighted rows,
 * one for each outcome.
 */
public final class BradleyTerryTrainer implements RewardTrainer {
  /** The default of {@link #setBuckets}. */
  public static final int DEFAULT_BUCKETS = 1 << 15;

  /** The default of {@link #setRegularization}. */
  public static final double DEFAULT_REGULARIZATION = 5e-4;

  /** The default of {@link #setElasticNet}. */
  public static final double DEFAULT_ELASTIC_NET = 0;

  /** The default of {@link #setMaxIterations}. */
  public static final int DEFAULT_MAX_ITERATIONS = 100;

  /** The columns that {@link #prepare} adds: what is known of each text without other texts. */
  private static final String CHOSEN_COUNTS = "chosen_counts";

  private static final String REJECTED_COUNTS = "rejected_counts";

  private static final StructType EXAMPLES =
      new StructType()
          .add("label", DataTypes.DoubleType)
          .add("weight", DataTypes.DoubleType)
          .add("features", SQLDataTypes.VectorType());

  private int buckets = DEFAULT_BUCKETS;
  private List<FeatureBlock> features = FeatureBlock.parse(FeatureBlock.DEFAULT);
  private double regularization = DEFAULT_REGULARIZATION;
  private boolean weighted;
  private double elasticNet = DEFAULT_ELASTIC_NET;
  private int maxIterations = DEFAULT_MAX_ITERATIONS;

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

  /** Sets the share of the penalty that is on absolute values, the rest being on squares. */
  public BradleyTerryTrainer setElasticNet(double elasticNet) {
    this.elasticNet = elasticNet;
    return this;
  }

  /** Sets the largest number of iterations of the optimiser. */
  public BradleyTerryTrainer setMaxIterations(int maxIterations) {
    this.maxIterations = maxIterations;
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
    UDF2<String, String, byte[]> counts =
        (prompt, response) -> TextFeatures.counts(settings, prompt, response).toBytes();
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
    // MLlib merges the partial sums of partitions in the order in which tasks end, and sums of
    // floating-point numbers depend on the order. One sorted partition has one order.
    Dataset<Row> sorted =
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
            .repartition(1)
            .sortWithinPartitions("pair_id", "prompt", "chosen", "rejected", "probability")
            .select("probability", "weight", CHOSEN_COUNTS, REJECTED_COUNTS)
            .persist(StorageLevel.MEMORY_AND_DISK());
    try {
      return JobDescriptions.described(
          pairs.sparkSession().sparkContext(),
          "reward: fit Bradley–Terry",
          () -> fitSorted(sorted));
    } finally {
      sorted.unpersist();
    }
  }

  private TextFeatures.Settings settings() {
    return new TextFeatures.Settings(features, buckets);
  }

  private BradleyTerryModel fitSorted(Dataset<Row> pairs) {
    TextFeatures features = FeatureStatistics.of(pairs, settings()).features();
    LogisticRegressionModel fitted =
        new LogisticRegression()
            .setFamily("binomial")
            .setFitIntercept(false)
            .setWeightCol("weight")
            .setRegParam(regularization)
            .setElasticNetParam(elasticNet)
            .setMaxIter(maxIterations)
            .setTol(1e-6)
            // Style is scaled already; rare words must not be blown up to the variance of frequent
            // ones, or the penalty would spare them.
            .setStandardization(false)
            .fit(examples(pairs, features));
    double[] coefficients = fitted.coefficients().toArray();
    float[] weights = new float[coefficients.length];
    for (int i = 0; i < weights.length; i++) {
      weights[i] = (float) coefficients[i];
    }
    return new BradleyTerryModel(features, weights);
  }

  private static Dataset<Row> examples(Dataset<Row> pairs, TextFeatures features) {
    return pairs.flatMap(
        (FlatMapFunction<Row, Row>)
            pair -> {
              var difference =
                  features.difference(
                      TextFeatures.Counts.of(pair.getAs(2)), TextFeatures.Counts.of(pair.getAs(3)));
              double probability = pair.getDouble(0);
              double weight = pair.getDouble(1);
              List<Row> examples = new ArrayList<>(2);
              if (probability > 0) {
                examples.add(RowFactory.create(1.0, weight * probability, difference));
              }
              if (probability < 1) {
                examples.add(RowFactory.create(0.0, weight * (1 - probability), difference));
              }
              return examples.iterator();
            },
        ExpressionEncoder.apply(EXAMPLES));
  }
}
