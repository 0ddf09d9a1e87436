package io.github.sparkrlhf.reward;

import static org.apache.spark.sql.functions.broadcast;
import static org.apache.spark.sql.functions.coalesce;
import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.lit;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.spark.api.java.function.MapPartitionsFunction;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Encoders;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.types.StructType;

/**
 * How much higher or lower than others each annotator rates: the b of rating = μ + q(response) +
 * b(annotator) + noise, with the penalty λ·(Σ q² + Σ b²) beside the squared error. That is the best
 * linear prediction of two crossed random effects whose variances are 1/λ of the noise's
 * (Henderson, 1975).
 *
 * @param byAnnotator b in the unit of the ratings
 */
public record AnnotatorOffsets(Map<String, Double> byAnnotator) {
  /** The default strength of the penalty: an annotator with one rating is believed by half. */
  public static final double DEFAULT_RIDGE = 1;

  private static final int MAX_SWEEPS = 10_000;
  private static final double TOLERANCE = 1e-10;
  private static final StructType OFFSETS =
      StructType.fromDDL("annotator_id STRING, annotator_offset DOUBLE");

  /** No offsets: every rating is taken as it is. */
  public static AnnotatorOffsets none() {
    return new AnnotatorOffsets(Map.of());
  }

  /**
   * Estimates the offsets. The same ratings give the same bits whatever their order and
   * partitioning.
   *
   * @param ratings feedback_id, prompt, response, rating, annotator_id (may be null: no offset)
   * @param ridge λ, above 0
   */
  public static AnnotatorOffsets fit(Dataset<Row> ratings, double ridge) {
    List<Row> fitted =
        ratings
            .select("prompt", "response", "annotator_id", "feedback_id", "rating")
            .repartition(1)
            .sortWithinPartitions("prompt", "response", "annotator_id", "feedback_id", "rating")
            .mapPartitions(
                (MapPartitionsFunction<Row, Row>) rows -> offsets(rows, ridge),
                Encoders.row(OFFSETS))
            .collectAsList();
    Map<String, Double> byAnnotator = new TreeMap<>();
    fitted.forEach(row -> byAnnotator.put(row.getString(0), row.getDouble(1)));
    return new AnnotatorOffsets(byAnnotator);
  }

  /** The ratings with their annotators' offsets taken away. */
  Dataset<Row> subtractedFrom(Dataset<Row> ratings) {
    List<Row> rows = new ArrayList<>();
    byAnnotator.forEach((annotator, offset) -> rows.add(RowFactory.create(annotator, offset)));
    Dataset<Row> offsets = ratings.sparkSession().createDataFrame(rows, OFFSETS);
    return ratings
        .join(
            broadcast(offsets.withColumnRenamed("annotator_id", "offset_of")),
            col("annotator_id").equalTo(col("offset_of")),
            "left")
        .withColumn("rating", col("rating").minus(coalesce(col("annotator_offset"), lit(0.0))))
        .drop("offset_of", "annotator_offset");
  }

  private static Iterator<Row> offsets(Iterator<Row> sorted, double ridge) {
    Map<List<String>, Integer> responses = new HashMap<>();
    Map<String, Integer> annotators = new TreeMap<>();
    List<int[]> places = new ArrayList<>();
    List<Double> ratings = new ArrayList<>();
    sorted.forEachRemaining(
        row -> {
          int response =
              responses.computeIfAbsent(
                  List.of(row.getString(0), row.getString(1)), text -> responses.size());
          String annotator = row.getString(2);
          int place =
              annotator == null
                  ? -1
                  : annotators.computeIfAbsent(annotator, name -> annotators.size());
          places.add(new int[] {response, place});
          ratings.add(row.getDouble(4));
        });
    double[] values = ratings.stream().mapToDouble(Double::doubleValue).toArray();
    double[] offsets = estimate(places, values, responses.size(), annotators.size(), ridge);
    return annotators.entrySet().stream()
        .map(entry -> RowFactory.create(entry.getKey(), offsets[entry.getValue()]))
        .iterator();
  }

  /**
   * The offsets by alternating ridge regressions, each exact given the other.
   *
   * @param places response and annotator of each rating; annotator −1 for nobody
   */
  static double[] estimate(
      List<int[]> places, double[] ratings, int responses, int annotators, double ridge) {
    double mean = Arrays.stream(ratings).average().orElse(0);
    double[] quality = new double[responses];
    double[] offset = new double[annotators];
    double change = Double.POSITIVE_INFINITY;
    for (int sweep = 0; sweep < MAX_SWEEPS && change > TOLERANCE; sweep++) {
      quality = shrunkenMeans(places, ratings, mean, 0, quality, offset, ridge);
      double[] next = shrunkenMeans(places, ratings, mean, 1, offset, quality, ridge);
      change = 0;
      for (int i = 0; i < annotators; i++) {
        change = Math.max(change, Math.abs(next[i] - offset[i]));
      }
      offset = next;
    }
    return offset;
  }

  /** One side's effects given the other's: Σ residuals / (n + λ). */
  private static double[] shrunkenMeans(
      List<int[]> places,
      double[] ratings,
      double mean,
      int side,
      double[] effects,
      double[] others,
      double ridge) {
    double[] sums = new double[effects.length];
    double[] counts = new double[effects.length];
    for (int i = 0; i < ratings.length; i++) {
      int place = places.get(i)[side];
      int other = places.get(i)[1 - side];
      if (place >= 0) {
        sums[place] += ratings[i] - mean - (other < 0 ? 0 : others[other]);
        counts[place]++;
      }
    }
    for (int i = 0; i < sums.length; i++) {
      sums[i] /= counts[i] + ridge;
    }
    return sums;
  }
}
