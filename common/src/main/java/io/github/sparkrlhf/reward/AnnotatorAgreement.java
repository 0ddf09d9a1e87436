package io.github.sparkrlhf.reward;

import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.count;
import static org.apache.spark.sql.functions.lit;
import static org.apache.spark.sql.functions.sum;
import static org.apache.spark.sql.functions.when;

import io.github.sparkrlhf.feedback.PairAggregator;
import io.github.sparkrlhf.spark.SmallSide;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.types.StructType;

/** How often each annotator agrees with a model, over their votes that are no ties. */
final class AnnotatorAgreement {
  /** Annotators with fewer votes are left out of the summary: their shares are mostly noise. */
  static final int FEWEST_VOTES = 20;

  private static final StructType SCORED =
      StructType.fromDDL("scored_pair STRING, split STRING, ahead INT");

  /**
   * An annotator in a split.
   *
   * @param agreement their votes for the response with the higher score; where scores are equal a
   *     vote counts one half
   * @param offset by how much their agreement exceeds that of all votes of the split
   */
  record Annotator(String split, String id, Measurement agreement, double offset) {}

  private AnnotatorAgreement() {}

  /**
   * The annotators, by split and id.
   *
   * @param outcomes how the model scores the pairs
   * @param pairs rows of the table {@code pairs}
   * @param comparisons rows of the table {@code comparisons}; votes without annotator are left out
   */
  static List<Annotator> of(
      List<PairOutcome> outcomes, Dataset<Row> pairs, Dataset<Row> comparisons) {
    List<Row> scored =
        outcomes.stream()
            .map(
                pair ->
                    RowFactory.create(
                        pair.pairId(), pair.split(), (int) Math.signum(pair.difference())))
            .toList();
    Dataset<Row> sides =
        SmallSide.of(pairs.sparkSession().createDataFrame(scored, SCORED), scored.size())
            .join(
                pairs.select(col("pair_id"), PairAggregator.firstIsChosen().as("first_is_chosen")),
                col("pair_id").equalTo(col("scored_pair")))
            .select("scored_pair", "split", "ahead", "first_is_chosen");
    Column forFirst = col("choice").equalTo("a").notEqual(col("swapped"));
    Column forChosen = forFirst.equalTo(col("first_is_chosen"));
    // In halves, so that sums are whole numbers.
    Column halves = when(forChosen, col("ahead").plus(1)).otherwise(lit(1).minus(col("ahead")));
    List<Row> counts =
        comparisons
            .where(col("choice").isin("a", "b").and(col("annotator_id").isNotNull()))
            .select("pair_id", "choice", "swapped", "annotator_id")
            .join(sides, col("pair_id").equalTo(col("scored_pair")))
            .groupBy("split", "annotator_id")
            .agg(count(lit(1)).as("votes"), sum(halves).as("halves"))
            .collectAsList();
    return annotators(counts);
  }

  private static List<Annotator> annotators(List<Row> counts) {
    Map<String, long[]> totals = new HashMap<>();
    for (Row row : counts) {
      long[] total = totals.computeIfAbsent(row.getString(0), split -> new long[2]);
      total[0] += row.getLong(2);
      total[1] += row.getLong(3);
    }
    List<Annotator> annotators = new ArrayList<>();
    for (Row row : counts) {
      long[] total = totals.get(row.getString(0));
      Measurement agreement = Measurement.share("agreement", row.getLong(3) / 2.0, row.getLong(2));
      annotators.add(
          new Annotator(
              row.getString(0),
              row.getString(1),
              agreement,
              agreement.value() - total[1] / 2.0 / total[0]));
    }
    annotators.sort(
        Comparator.comparing(Annotator::split).thenComparing(Annotator::id));
    return annotators;
  }

  /**
   * For each split the least, the median and the greatest agreement among annotators with at least
   * {@value #FEWEST_VOTES} votes; n is their number.
   */
  static SortedMap<String, List<Measurement>> summary(List<Annotator> annotators) {
    SortedMap<String, List<Double>> shares = new TreeMap<>();
    for (Annotator annotator : annotators) {
      if (annotator.agreement().n() >= FEWEST_VOTES) {
        shares
            .computeIfAbsent(annotator.split(), split -> new ArrayList<>())
            .add(annotator.agreement().value());
      }
    }
    SortedMap<String, List<Measurement>> summary = new TreeMap<>();
    shares.forEach((split, values) -> summary.put(split, spread(values.stream().sorted().toList())));
    return summary;
  }

  private static List<Measurement> spread(List<Double> sorted) {
    int n = sorted.size();
    double median = (sorted.get((n - 1) / 2) + sorted.get(n / 2)) / 2;
    return List.of(
        new Measurement("annotator_minimum", sorted.get(0), null, null, n),
        new Measurement("annotator_median", median, null, null, n),
        new Measurement("annotator_maximum", sorted.get(n - 1), null, null, n));
  }
}
