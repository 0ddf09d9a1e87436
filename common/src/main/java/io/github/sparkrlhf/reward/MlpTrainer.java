package io.github.sparkrlhf.reward;

import io.github.sparkrlhf.spark.StableHash;
import io.github.sparkrlhf.training.Checkpoints;
import io.github.sparkrlhf.training.LaneSettings;
import io.github.sparkrlhf.training.Progress;
import io.github.sparkrlhf.training.Trainer;
import io.github.sparkrlhf.training.TrainingEngine;
import java.io.PrintStream;
import java.util.Iterator;
import java.util.List;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;

/** Fits an {@link MlpModel} by data-parallel rounds. */
public final class MlpTrainer extends RegressionTrainer {
  /** The width of the one hidden layer that there is by default. */
  public static final int DEFAULT_HIDDEN = 32;

  /** More than two add nothing to a few dozen features. */
  public static final int MAX_HIDDEN_LAYERS = 2;

  private final List<Integer> hidden;
  private final int buckets;
  private final LaneSettings lanes;
  private final Trainer.Settings settings;
  private final PrintStream out;

  /**
   * A trainer.
   *
   * @param hidden the width of each hidden layer, one or two
   * @param buckets hash buckets for words, beside the style features; 0 for none
   * @param lanes how rows are dealt; its seed is also that of the first weights
   * @param settings of the rounds; no checkpoints are written, a fit takes minutes
   * @param out where progress is told
   */
  public MlpTrainer(
      List<Integer> hidden,
      int buckets,
      LaneSettings lanes,
      Trainer.Settings settings,
      PrintStream out) {
    super(MlpModel.KIND);
    this.hidden = List.copyOf(hidden);
    this.buckets = buckets;
    this.lanes = lanes;
    this.settings = TransformerRewardTrainer.withoutCheckpoints(settings);
    this.out = out;
  }

  @Override
  MlpModel fitTargets(Dataset<Row> targets) {
    DenseFeatures features = new DenseFeatures(buckets);
    MlpModel.Scaling scaling = scaling(targets, features);
    MlpNetwork network = new MlpNetwork(features.size(), hidden);
    JavaRDD<ResponseExample> examples =
        targets
            .javaRDD()
            .map(
                row ->
                    new ResponseExample(
                        StableHash.sha256(row.getString(0), row.getString(1)),
                        scaling.standardised(features.of(row.getString(0), row.getString(1))),
                        (float) ((row.getDouble(2) - scaling.target()[0]) / scaling.target()[1]),
                        (float) row.getDouble(3)));
    JavaSparkContext context =
        JavaSparkContext.fromSparkContext(targets.sparkSession().sparkContext());
    try (TrainingEngine<ResponseExample> engine =
        new TrainingEngine<>(context, examples, lanes, new MlpObjective(network))) {
      Trainer<ResponseExample> trainer = new Trainer<>(engine, settings, "reward");
      Progress progress = new Progress(out, "reward", trainer.totalSteps());
      Checkpoints none = TransformerRewardTrainer.noCheckpoints(network.layout().tensors(""));
      float[] weights =
          trainer
              .train(network.initialWeights(lanes.seed()), network.layout(), none, progress)
              .weights();
      return new MlpModel(features, hidden, weights, scaling);
    }
  }

  private static MlpModel.Scaling scaling(Dataset<Row> targets, DenseFeatures features) {
    return targets.javaRDD().mapPartitions(rows -> scaling(rows, features)).collect().get(0);
  }

  /** Weighted means and standard deviations; a deviation of 0 counts as 1. */
  private static Iterator<MlpModel.Scaling> scaling(Iterator<Row> rows, DenseFeatures features) {
    int size = features.size();
    double[] sums = new double[size + 1];
    double[] squares = new double[size + 1];
    double total = 0;
    while (rows.hasNext()) {
      Row row = rows.next();
      double weight = row.getDouble(3);
      float[] values = features.of(row.getString(0), row.getString(1));
      for (int i = 0; i <= size; i++) {
        double value = i < size ? values[i] : row.getDouble(2);
        sums[i] += weight * value;
        squares[i] += weight * value * value;
      }
      total += weight;
    }
    float[] mean = new float[size];
    float[] deviation = new float[size];
    float[] target = new float[2];
    for (int i = 0; i <= size; i++) {
      double average = sums[i] / total;
      double spread = Math.sqrt(Math.max(0, squares[i] / total - average * average));
      float divisor = spread > 1e-6 ? (float) spread : 1;
      if (i < size) {
        mean[i] = (float) average;
        deviation[i] = divisor;
      } else {
        target[0] = (float) average;
        target[1] = divisor;
      }
    }
    return List.of(new MlpModel.Scaling(mean, deviation, target)).iterator();
  }
}
