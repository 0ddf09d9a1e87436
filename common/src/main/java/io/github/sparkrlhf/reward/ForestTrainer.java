package io.github.sparkrlhf.reward;

import java.util.Arrays;
import java.util.List;
import org.apache.spark.api.java.function.MapFunction;
import org.apache.spark.ml.linalg.SQLDataTypes;
import org.apache.spark.ml.linalg.Vector;
import org.apache.spark.ml.linalg.Vectors;
import org.apache.spark.ml.regression.DecisionTreeRegressionModel;
import org.apache.spark.ml.regression.GBTRegressionModel;
import org.apache.spark.ml.regression.GBTRegressor;
import org.apache.spark.ml.regression.RandomForestRegressionModel;
import org.apache.spark.ml.regression.RandomForestRegressor;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.catalyst.encoders.ExpressionEncoder;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;

/** Fits a {@link ForestModel} by MLlib. */
public final class ForestTrainer extends RegressionTrainer {
  /** The default of {@link #setTrees}. */
  public static final int DEFAULT_TREES = 100;

  /** The default of {@link #setMinRowsPerLeaf}. */
  public static final int DEFAULT_MIN_ROWS_PER_LEAF = 5;

  /** The default of {@link #setStepSize}. */
  public static final double DEFAULT_STEP_SIZE = 0.1;

  /** The default of {@link #setMaxDepth} of random forests. */
  public static final int DEFAULT_DEPTH_OF_RANDOM = 8;

  /** The default of {@link #setMaxDepth} of boosted trees. */
  public static final int DEFAULT_DEPTH_OF_BOOSTED = 3;

  /** The deepest trees that MLlib grows. */
  public static final int MAX_DEPTH = 30;

  private static final StructType EXAMPLES =
      new StructType()
          .add("features", SQLDataTypes.VectorType())
          .add("label", DataTypes.DoubleType)
          .add("weight", DataTypes.DoubleType);

  private final boolean boosted;
  private int trees = DEFAULT_TREES;
  private int maxDepth;
  private int minRowsPerLeaf = DEFAULT_MIN_ROWS_PER_LEAF;
  private double stepSize = DEFAULT_STEP_SIZE;
  private int buckets;
  private long seed;

  private ForestTrainer(String kind, boolean boosted, int maxDepth) {
    super(kind);
    this.boosted = boosted;
    this.maxDepth = maxDepth;
  }

  /**
   * A trainer of random forests, each tree on a bootstrap sample, a third of the features a split.
   */
  public static ForestTrainer randomForest() {
    return new ForestTrainer(ForestModel.RANDOM_FOREST, false, DEFAULT_DEPTH_OF_RANDOM);
  }

  /** A trainer of boosted trees. */
  public static ForestTrainer gradientBoosted() {
    return new ForestTrainer(ForestModel.GRADIENT_BOOSTED, true, DEFAULT_DEPTH_OF_BOOSTED);
  }

  /** Sets how many trees there are. */
  public ForestTrainer setTrees(int trees) {
    this.trees = trees;
    return this;
  }

  /** Sets how many splits at most lie between a root and a leaf, in [1, {@value #MAX_DEPTH}]. */
  public ForestTrainer setMaxDepth(int maxDepth) {
    this.maxDepth = maxDepth;
    return this;
  }

  /** Sets how many responses a leaf must hold. */
  public ForestTrainer setMinRowsPerLeaf(int minRowsPerLeaf) {
    this.minRowsPerLeaf = minRowsPerLeaf;
    return this;
  }

  /** Sets how much of each boosted tree's correction is taken, in (0, 1]. */
  public ForestTrainer setStepSize(double stepSize) {
    this.stepSize = stepSize;
    return this;
  }

  /** Sets the number of hash buckets for words, beside the style features; 0 for none. */
  public ForestTrainer setBuckets(int buckets) {
    this.buckets = buckets;
    return this;
  }

  /** Sets the seed of bootstrap samples and of the features tried. */
  public ForestTrainer setSeed(long seed) {
    this.seed = seed;
    return this;
  }

  @Override
  ForestModel fitTargets(Dataset<Row> targets) {
    DenseFeatures features = new DenseFeatures(buckets);
    Dataset<Row> examples = examples(targets, features).persist();
    try {
      return boosted ? boosted(examples, features) : random(examples, features);
    } finally {
      examples.unpersist();
    }
  }

  /** Features, label and weight, in the targets' order. */
  static Dataset<Row> examples(Dataset<Row> targets, DenseFeatures features) {
    return targets.map(
        (MapFunction<Row, Row>)
            row ->
                RowFactory.create(
                    vector(features.of(row.getString(0), row.getString(1))),
                    row.getDouble(2),
                    row.getDouble(3)),
        ExpressionEncoder.apply(EXAMPLES));
  }

  /** Features as MLlib wants them; the numbers stay those of single precision. */
  static Vector vector(float[] features) {
    double[] values = new double[features.length];
    for (int i = 0; i < values.length; i++) {
      values[i] = features[i];
    }
    return Vectors.dense(values);
  }

  private ForestModel random(Dataset<Row> examples, DenseFeatures features) {
    RandomForestRegressionModel fitted =
        new RandomForestRegressor()
            .setNumTrees(trees)
            .setMaxDepth(maxDepth)
            .setMinInstancesPerNode(minRowsPerLeaf)
            .setFeatureSubsetStrategy("onethird")
            .setWeightCol("weight")
            .setSeed(seed)
            .fit(examples);
    double[] weights = new double[fitted.trees().length];
    Arrays.fill(weights, 1.0 / weights.length);
    return model(fitted.trees(), weights, fitted.featureImportances(), features);
  }

  private ForestModel boosted(Dataset<Row> examples, DenseFeatures features) {
    GBTRegressionModel fitted =
        new GBTRegressor()
            .setMaxIter(trees)
            .setMaxDepth(maxDepth)
            .setMinInstancesPerNode(minRowsPerLeaf)
            .setStepSize(stepSize)
            .setWeightCol("weight")
            .setSeed(seed)
            .fit(examples);
    return model(fitted.trees(), fitted.treeWeights(), fitted.featureImportances(), features);
  }

  private ForestModel model(
      DecisionTreeRegressionModel[] fitted,
      double[] weights,
      Vector importances,
      DenseFeatures features) {
    float[] shares = new float[features.size()];
    for (int i = 0; i < shares.length; i++) {
      shares[i] = (float) importances.apply(i);
    }
    return new ForestModel(
        boosted ? ForestModel.GRADIENT_BOOSTED : ForestModel.RANDOM_FOREST,
        features,
        RegressionForest.of(List.of(fitted), weights),
        shares);
  }
}
