package io.github.sparkrlhf.reward;

import io.github.sparkrlhf.spark.JobDescriptions;
import io.github.sparkrlhf.spark.JobFailure;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Iterator;
import java.util.List;
import org.apache.spark.api.java.function.FlatMapFunction;
import org.apache.spark.api.java.function.MapPartitionsFunction;
import org.apache.spark.ml.classification.LogisticRegression;
import org.apache.spark.ml.classification.LogisticRegressionModel;
import org.apache.spark.ml.linalg.SQLDataTypes;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Encoders;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.catalyst.encoders.ExpressionEncoder;
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

  /** The default of {@link #setPromptWords}. */
  public static final int DEFAULT_PROMPT_WORDS = 16;

  /** The default of {@link #setRegularization}. */
  public static final double DEFAULT_REGULARIZATION = 5e-4;

  /** The default of {@link #setElasticNet}. */
  public static final double DEFAULT_ELASTIC_NET = 0;

  /** The default of {@link #setMaxIterations}. */
  public static final int DEFAULT_MAX_ITERATIONS = 100;

  private static final StructType EXAMPLES =
      new StructType()
          .add("label", DataTypes.DoubleType)
          .add("weight", DataTypes.DoubleType)
          .add("features", SQLDataTypes.VectorType());

  private int buckets = DEFAULT_BUCKETS;
  private int promptWords = DEFAULT_PROMPT_WORDS;
  private double regularization = DEFAULT_REGULARIZATION;
  private double elasticNet = DEFAULT_ELASTIC_NET;
  private int maxIterations = DEFAULT_MAX_ITERATIONS;

  /** Sets the number of hash buckets for words and word pairs. */
  public BradleyTerryTrainer setBuckets(int buckets) {
    this.buckets = buckets;
    return this;
  }

  /** Sets how many words of the prompt are crossed with the words of the response; 0 for none. */
  public BradleyTerryTrainer setPromptWords(int promptWords) {
    this.promptWords = promptWords;
    return this;
  }

  /** Sets the strength of the penalty on the weights. */
  public BradleyTerryTrainer setRegularization(double regularization) {
    this.regularization = regularization;
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
   * Fits a model. The same pairs give the same bits, whatever their order and partitioning.
   *
   * @param pairs the training split of the table {@code pairs}: pair_id, prompt, chosen, rejected
   *     and probability
   * @throws JobFailure if there is no pair
   */
  @Override
  public BradleyTerryModel fit(Dataset<Row> pairs) {
    TextFeatures.Settings settings = new TextFeatures.Settings(buckets, promptWords);
    // MLlib merges the partial sums of partitions in the order in which tasks end, and sums of
    // floating-point numbers depend on the order. One sorted partition has one order.
    Dataset<Row> sorted =
        pairs
            .select("prompt", "chosen", "rejected", "probability", "pair_id")
            .repartition(1)
            .sortWithinPartitions("pair_id", "prompt", "chosen", "rejected", "probability")
            .persist(StorageLevel.MEMORY_AND_DISK());
    try {
      return JobDescriptions.described(
          pairs.sparkSession().sparkContext(),
          "reward: fit Bradley–Terry",
          () -> fitSorted(sorted, settings));
    } finally {
      sorted.unpersist();
    }
  }

  private BradleyTerryModel fitSorted(Dataset<Row> pairs, TextFeatures.Settings settings) {
    TextFeatures features =
        new TextFeatures(settings, styleScale(pairs), inverseDocumentFrequencies(pairs, settings));
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
                  features.difference(pair.getString(0), pair.getString(1), pair.getString(2));
              double probability = pair.getDouble(3);
              List<Row> examples = new ArrayList<>(2);
              if (probability > 0) {
                examples.add(RowFactory.create(1.0, probability, difference));
              }
              if (probability < 1) {
                examples.add(RowFactory.create(0.0, 1 - probability, difference));
              }
              return examples.iterator();
            },
        ExpressionEncoder.apply(EXAMPLES));
  }

  /** The root mean square of each style feature's differences; 1 where they are all equal. */
  private static float[] styleScale(Dataset<Row> pairs) {
    int size = TextStyle.NAMES.size();
    List<double[]> sums =
        pairs
            .mapPartitions(
                (MapPartitionsFunction<Row, double[]>) BradleyTerryTrainer::squares,
                Encoders.javaSerialization(double[].class))
            .collectAsList();
    // Spark drops the one partition of an empty dataset.
    if (sums.isEmpty() || sums.get(0)[size] == 0) {
      throw JobFailure.dataQuality("Cannot fit a reward model: there is no pair to learn from");
    }
    double[] total = sums.get(0);
    float[] scale = new float[size];
    for (int i = 0; i < size; i++) {
      double root = Math.sqrt(total[i] / total[size]);
      scale[i] = root > 0 ? (float) root : 1;
    }
    return scale;
  }

  /** The sums of squared differences of the style features, and the number of pairs behind them. */
  private static Iterator<double[]> squares(Iterator<Row> pairs) {
    int size = TextStyle.NAMES.size();
    double[] sums = new double[size + 1];
    while (pairs.hasNext()) {
      Row pair = pairs.next();
      double[] chosen = style(pair.getString(0), pair.getString(1));
      double[] rejected = style(pair.getString(0), pair.getString(2));
      for (int i = 0; i < size; i++) {
        sums[i] += (chosen[i] - rejected[i]) * (chosen[i] - rejected[i]);
      }
      sums[size]++;
    }
    return List.of(sums).iterator();
  }

  private static double[] style(String prompt, String response) {
    return TextStyle.of(response, TextFeatures.words(prompt), TextFeatures.words(response));
  }

  /** {@code ln((1 + n) / (1 + df)) + 1} for each bucket over the n responses. */
  private static float[] inverseDocumentFrequencies(
      Dataset<Row> pairs, TextFeatures.Settings settings) {
    List<Row> frequencies =
        pairs
            .flatMap(
                (FlatMapFunction<Row, Integer>)
                    pair -> {
                      List<Integer> filled =
                          new ArrayList<>(
                              TextFeatures.buckets(settings, pair.getString(0), pair.getString(1)));
                      filled.addAll(
                          TextFeatures.buckets(settings, pair.getString(0), pair.getString(2)));
                      return filled.iterator();
                    },
                Encoders.INT())
            .groupBy("value")
            .count()
            .collectAsList();
    double responses = 2.0 * pairs.count();
    float[] idf = new float[settings.buckets()];
    Arrays.fill(idf, (float) (Math.log(1 + responses) + 1));
    for (Row row : frequencies) {
      idf[row.getInt(0)] = (float) (Math.log((1 + responses) / (1 + row.getLong(1))) + 1);
    }
    return idf;
  }
}
