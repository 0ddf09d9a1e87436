package io.github.sparkrlhf.reward;

import io.github.sparkrlhf.spark.JobFailure;
import java.io.Serializable;
import java.util.Iterator;
import java.util.List;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.sql.Row;

/**
 * What features take from the training pairs: means and scales of numbers and weights of buckets.
 */
final class FeatureStatistics implements Serializable {
  private static final long serialVersionUID = 1L;

  private final TextFeatures.Settings settings;
  private final double[] squares;
  private final double[] sums;
  private final int[] texts;
  private long pairs;

  private FeatureStatistics(TextFeatures.Settings settings) {
    this.settings = settings;
    this.squares = new double[settings.names().size()];
    this.sums = new double[squares.length];
    this.texts = new int[settings.hashed().size() * settings.buckets()];
  }

  /**
   * Counts in one pass, and adds the partitions' counts in their order.
   *
   * @param pairs probability, weight and the {@link TextFeatures.Counts} of both responses
   * @throws JobFailure if there is no pair
   */
  static FeatureStatistics of(JavaRDD<Row> pairs, TextFeatures.Settings settings) {
    FeatureStatistics all = new FeatureStatistics(settings);
    pairs.mapPartitions(rows -> counted(settings, rows)).collect().forEach(all::add);
    if (all.pairs == 0) {
      throw JobFailure.dataQuality("Cannot fit a reward model: there is no pair to learn from");
    }
    return all;
  }

  private static Iterator<FeatureStatistics> counted(
      TextFeatures.Settings settings, Iterator<Row> rows) {
    FeatureStatistics statistics = new FeatureStatistics(settings);
    rows.forEachRemaining(
        row ->
            statistics.add(
                TextFeatures.Counts.of(row.getAs(2)), TextFeatures.Counts.of(row.getAs(3))));
    return List.of(statistics).iterator();
  }

  private void add(FeatureStatistics others) {
    for (int i = 0; i < squares.length; i++) {
      squares[i] += others.squares[i];
      sums[i] += others.sums[i];
    }
    for (int i = 0; i < texts.length; i++) {
      texts[i] += others.texts[i];
    }
    pairs += others.pairs;
  }

  private void add(TextFeatures.Counts chosen, TextFeatures.Counts rejected) {
    for (int i = 0; i < squares.length; i++) {
      double difference = chosen.numbers()[i] - rejected.numbers()[i];
      squares[i] += difference * difference;
      sums[i] += chosen.numbers()[i] + rejected.numbers()[i];
    }
    for (int bucket : chosen.buckets()) {
      texts[bucket]++;
    }
    for (int bucket : rejected.buckets()) {
      texts[bucket]++;
    }
    pairs++;
  }

  /**
   * The features: a number's scale is the root mean square of its differences, 1 where they are all
   * equal; a bucket's weight is {@code ln((1 + n) / (1 + df)) + 1} over the n responses.
   */
  TextFeatures features() {
    float[] mean = new float[squares.length];
    float[] scale = new float[squares.length];
    for (int i = 0; i < scale.length; i++) {
      mean[i] = (float) (sums[i] / (2.0 * pairs));
      double root = Math.sqrt(squares[i] / pairs);
      scale[i] = root > 0 ? (float) root : 1;
    }
    float[] idf = new float[texts.length];
    for (int i = 0; i < idf.length; i++) {
      idf[i] = (float) (Math.log((1 + 2.0 * pairs) / (1 + texts[i])) + 1);
    }
    return new TextFeatures(settings, new TextFeatures.Scaling(mean, scale, idf));
  }
}
