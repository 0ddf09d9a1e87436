package io.github.sparkrlhf.reward;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.github.sparkrlhf.spark.SparkTestSession;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.ml.classification.LogisticRegression;
import org.apache.spark.ml.linalg.SQLDataTypes;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;
import org.junit.jupiter.api.Test;

class BradleyTerryLossTest {
  private static final SparkSession SPARK = SparkTestSession.get();
  private static final double LAMBDA = 0.01;
  private static final TextFeatures.Settings SETTINGS =
      new TextFeatures.Settings(FeatureBlock.parse("style,words:1-1"), 16);

  /** Pairs of random words with any probability and weight, in three partitions. */
  private static final JavaRDD<Row> PAIRS =
      new JavaSparkContext(SPARK.sparkContext())
          .parallelize(new Random(3).ints(60).mapToObj(BradleyTerryLossTest::pair).toList(), 3);

  private static final TextFeatures FEATURES = FeatureStatistics.of(PAIRS, SETTINGS).features();

  private static final JavaRDD<PairBlock> BLOCKS =
      PAIRS.mapPartitions(rows -> List.of(PairBlock.of(FEATURES, rows)).iterator());

  private static Row pair(int seed) {
    Random random = new Random(seed);
    return RowFactory.create(
        random.nextInt(5) / 4.0, 0.5 + random.nextDouble(), text(random), text(random));
  }

  private static byte[] text(Random random) {
    String words =
        String.join(" ", Stream.generate(() -> "w" + random.nextInt(20)).limit(6).toList());
    return TextFeatures.counts(SETTINGS, HiddenStates.NONE, "", words).toBytes();
  }

  private static double[] point() {
    return new Random(4).doubles(FEATURES.size(), -1, 1).toArray();
  }

  @Test
  void hasTheGradientOfItsValue() {
    BradleyTerryLoss loss = new BradleyTerryLoss(BLOCKS, LAMBDA, Long.MAX_VALUE);
    double[] gradient = new double[FEATURES.size()];
    loss.at(point(), gradient);

    double[] differences =
        IntStream.range(0, gradient.length)
            .mapToDouble(
                i -> {
                  double[] right = point();
                  double[] left = point();
                  right[i] += 1e-5;
                  left[i] -= 1e-5;
                  double[] unused = new double[gradient.length];
                  return (loss.at(right, unused) - loss.at(left, unused)) / 2e-5;
                })
            .toArray();

    assertThat(gradient).containsExactly(differences, within(1e-8));
  }

  @Test
  void isTheSameBitsFromTasksAndFromTheDriver() {
    double[] byTasks = new double[FEATURES.size()];
    double[] byDriver = new double[FEATURES.size()];

    double value = new BradleyTerryLoss(BLOCKS, LAMBDA, 0).at(point(), byTasks);

    assertThat(new BradleyTerryLoss(BLOCKS, LAMBDA, Long.MAX_VALUE).at(point(), byDriver))
        .isEqualTo(value);
    assertThat(byDriver).isEqualTo(byTasks);
  }

  @Test
  void isLeastWhereLogisticRegressionOfMllibSaysSo() {
    double[] minimum =
        Lbfgs.minimise(
            new BradleyTerryLoss(BLOCKS, LAMBDA, Long.MAX_VALUE), FEATURES.size(), 1000, 1e-9);

    StructType schema =
        new StructType()
            .add("label", DataTypes.DoubleType)
            .add("weight", DataTypes.DoubleType)
            .add("features", SQLDataTypes.VectorType());
    JavaRDD<Row> examples =
        PAIRS.flatMap(
            pair -> {
              var difference =
                  FEATURES.difference(
                      TextFeatures.Counts.of(pair.getAs(2)), TextFeatures.Counts.of(pair.getAs(3)));
              double p = pair.getDouble(0);
              double weight = pair.getDouble(1);
              return List.of(
                      RowFactory.create(1.0, weight * p, difference),
                      RowFactory.create(0.0, weight * (1 - p), difference))
                  .iterator();
            });
    double[] expected =
        new LogisticRegression()
            .setFitIntercept(false)
            .setStandardization(false)
            .setWeightCol("weight")
            .setRegParam(LAMBDA)
            .setTol(1e-9)
            .setMaxIter(1000)
            .fit(SPARK.createDataFrame(examples, schema))
            .coefficients()
            .toArray();
    assertThat(minimum).containsExactly(expected, within(1e-4));
  }
}
