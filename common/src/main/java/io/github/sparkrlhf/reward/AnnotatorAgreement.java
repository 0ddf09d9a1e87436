package io.github.sparkrlhf.reward;

import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.count;
import static org.apache.spark.sql.functions.lit;
import static org.apache.spark.sql.functions.sum;
import static org.apache.spark.sql.functions.when;

import io.github.sparkrlhf.feedback.PairAggregator;
import io.github.sparkrlhf.spark.SmallSide;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.types.StructType;

/**
 * How differently annotators agree with a model. Nothing about single people is kept: what is
 * learned about them stays where {@code forget} finds it.
 */
final class AnnotatorAgreement {
  /** Annotators with fewer votes are left out: their shares are mostly noise. */
  static final int FEWEST_VOTES = 20;

  private static final StructType SCORED =
      StructType.fromDDL("scored_pair STRING, split STRING, ahead INT");

  private AnnotatorAgreement() {}

  /**
   * For each split the least, the median and the greatest share of an annotator's votes, ties left
   * out, that are for the response with the higher score; a vote on equal scores counts one half.
   * The number of a measurement is that of annotators.
   *
   * @param outcomes how the model scores the pairs
   * @param pairs rows of the table {@code pairs}
   * @param comparisons rows of the table {@code comparisons}
   */
  static Map<String, List<Measurement>> of(
      List<PairOutcome> outcomes, Dataset<Row> pairs, Dataset<Row> comparisons) {
    Column forFirst = col("choice").equalTo("a").notEqual(col("swapped"));
    Column forChosen = forFirst.equalTo(col("first_is_chosen"));
    // In halves, so that sums are whole numbers.
    Column halves = when(forChosen, col("ahead").plus(1)).otherwise(lit(1).minus(col("ahead")));
    List<Row> shares =
        comparisons
            .where(col("choice").isin("a", "b").and(col("annotator_id").isNotNull()))
            .select("pair_id", "choice", "swapped", "annotator_id")
            .join(sides(outcomes, pairs), col("pair_id").equalTo(col("scored_pair")))
            .groupBy("split", "annotator_id")
            .agg(count(lit(1)).as("votes"), sum(halves).as("halves"))
            .where(col("votes").geq(FEWEST_VOTES))
            .select(col("split"), col("halves").divide(2).divide(col("votes")))
            .collectAsList();
    return shares.stream()
        .collect(
            Collectors.groupingBy(
                row -> row.getString(0),
                Collectors.collectingAndThen(
                    Collectors.toList(),
                    rows -> spread(rows.stream().map(row -> row.getDouble(1)).sorted().toList()))));
  }

  /** Of each pair which of its two responses is chosen, and whether the model agrees. */
  private static Dataset<Row> sides(List<PairOutcome> outcomes, Dataset<Row> pairs) {
    List<Row> scored =
        outcomes.stream()
            .map(
                pair ->
                    RowFactory.create(
                        pair.pairId(), pair.split(), (int) Math.signum(pair.difference())))
            .toList();
    Dataset<Row> ahead = pairs.sparkSession().createDataFrame(scored, SCORED);
    return SmallSide.of(ahead, scored.size())
        .join(
            pairs.select(col("pair_id"), PairAggregator.firstIsChosen().as("first_is_chosen")),
            col("pair_id").equalTo(col("scored_pair")))
        .select("scored_pair", "split", "ahead", "first_is_chosen");
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
