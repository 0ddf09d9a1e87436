package io.github.sparkrlhf.reward;

import static org.apache.spark.sql.functions.array;
import static org.apache.spark.sql.functions.array_join;
import static org.apache.spark.sql.functions.array_sort;
import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.collect_set;
import static org.apache.spark.sql.functions.count;
import static org.apache.spark.sql.functions.explode;
import static org.apache.spark.sql.functions.length;
import static org.apache.spark.sql.functions.lit;
import static org.apache.spark.sql.functions.max;
import static org.apache.spark.sql.functions.struct;
import static org.apache.spark.sql.functions.when;

import io.github.sparkrlhf.feedback.Agreement;
import io.github.sparkrlhf.feedback.BiasAudit;
import io.github.sparkrlhf.feedback.PairAggregator;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;

/** Scores pairs and brings what is measured about each to the driver, without any text. */
final class PairOutcomes {
  private PairOutcomes() {}

  /**
   * The pairs by split and id, whatever the partitioning. The driver holds some 200 bytes a pair.
   *
   * @param pairs rows of the table {@code pairs}; pair_id, split, prompt, chosen, rejected and
   *     probability are required, and pair_id is unique
   * @param comparisons the votes behind the pairs, rows of the table {@code comparisons}; null if
   *     they are not known
   */
  static List<PairOutcome> of(RewardModel model, Dataset<Row> pairs, Dataset<Row> comparisons) {
    Dataset<Row> described =
        pairs.select(
            col("pair_id"),
            col("split"),
            col("probability"),
            PairAggregator.isDecided(pairs).as("is_decided"),
            length(col("chosen")).as("chosen_length"),
            length(col("rejected")).as("rejected_length"),
            BiasAudit.differences("chosen", "rejected"),
            optional(pairs, "votes", "INT"),
            optional(pairs, "ties", "INT"),
            optional(pairs, "vote_share", "DOUBLE"),
            optional(pairs, "source", "STRING"),
            optional(pairs, "group_key", "STRING"));
    Dataset<Row> scored = described.join(scores(model, pairs), "pair_id");
    Dataset<Row> rows =
        comparisons == null
            ? scored.selectExpr(
                "*", "CAST(null AS STRING) AS kinds", "0L AS first_for", "0L AS first_against")
            : scored
                .join(
                    ballots(comparisons), scored.col("pair_id").equalTo(col("ballot_pair")), "left")
                .na()
                .fill(0, new String[] {"first_for", "first_against"});
    List<PairOutcome> outcomes = new ArrayList<>();
    // Sorting all rows would score them twice: Spark looks at a sample first.
    Iterator<Row> sorted =
        rows.repartition(1).sortWithinPartitions("split", "pair_id").toLocalIterator();
    sorted.forEachRemaining(row -> outcomes.add(outcome(row)));
    return outcomes;
  }

  private static Column optional(Dataset<Row> rows, String name, String type) {
    return List.of(rows.columns()).contains(name)
        ? col(name).cast(type)
        : lit(null).cast(type).as(name);
  }

  /**
   * Both responses of all pairs go through the model in one pass.
   *
   * @return pair_id, chosen_score and rejected_score
   */
  static Dataset<Row> scores(RewardModel model, Dataset<Row> pairs) {
    Column sides =
        array(
            struct(lit(true).as("is_chosen"), col("chosen").as(RewardModel.RESPONSE)),
            struct(lit(false).as("is_chosen"), col("rejected").as(RewardModel.RESPONSE)));
    Dataset<Row> responses =
        pairs
            .select(col("pair_id"), col(RewardModel.PROMPT), explode(sides).as("side"))
            .select("pair_id", RewardModel.PROMPT, "side.is_chosen", "side.response");
    Column score = col(RewardModel.SCORE);
    return model
        .score(responses)
        .groupBy("pair_id")
        .agg(
            max(when(col("is_chosen"), score)).as("chosen_score"),
            max(when(col("is_chosen").equalTo(false), score)).as("rejected_score"));
  }

  /** What votes say besides whom they prefer. */
  private static Dataset<Row> ballots(Dataset<Row> comparisons) {
    Column shown = col("kind").equalTo(Agreement.COMPARISON);
    return comparisons
        .groupBy(col("pair_id").as("ballot_pair"))
        .agg(
            array_join(array_sort(collect_set("kind")), ",").as("kinds"),
            count(when(shown.and(col("choice").equalTo("a")), 1)).as("first_for"),
            count(when(shown.and(col("choice").equalTo("b")), 1)).as("first_against"));
  }

  private static PairOutcome outcome(Row row) {
    double probability = row.getAs("probability");
    int sign = probability < 0.5 ? -1 : 1;
    Double chosenScore = row.getAs("chosen_score");
    Double rejectedScore = row.getAs("rejected_score");
    Row differences = row.getAs("differences");
    int chosenLength = row.getAs("chosen_length");
    int rejectedLength = row.getAs("rejected_length");
    Integer votes = row.getAs("votes");
    Integer ties = row.getAs("ties");
    Double share = row.getAs("vote_share");
    boolean known = votes != null && ties != null && share != null;
    long votesFor = known ? Math.round(share * votes - ties / 2.0) : 0;
    long votesAgainst = known ? votes - ties - votesFor : 0;
    return new PairOutcome(
        row.getAs("pair_id"),
        row.getAs("split"),
        chosenScore == null || rejectedScore == null
            ? Double.NaN
            : sign * (chosenScore - rejectedScore),
        Math.max(probability, 1 - probability),
        row.getAs("is_decided"),
        sign > 0 ? chosenLength : rejectedLength,
        sign > 0 ? rejectedLength : chosenLength,
        sign * differences.<Integer>getAs("lists"),
        sign * differences.<Integer>getAs("marks"),
        sign > 0 ? votesFor : votesAgainst,
        sign > 0 ? votesAgainst : votesFor,
        row.getAs("first_for"),
        row.getAs("first_against"),
        row.getAs("source"),
        row.getAs("group_key"),
        row.getAs("kinds"));
  }
}
