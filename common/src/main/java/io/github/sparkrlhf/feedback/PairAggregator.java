package io.github.sparkrlhf.feedback;

import static org.apache.spark.sql.functions.aggregate;
import static org.apache.spark.sql.functions.array_join;
import static org.apache.spark.sql.functions.array_sort;
import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.collect_list;
import static org.apache.spark.sql.functions.collect_set;
import static org.apache.spark.sql.functions.count;
import static org.apache.spark.sql.functions.greatest;
import static org.apache.spark.sql.functions.least;
import static org.apache.spark.sql.functions.lit;
import static org.apache.spark.sql.functions.min;
import static org.apache.spark.sql.functions.sum;
import static org.apache.spark.sql.functions.when;

import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;

/**
 * Turns votes into one row per distinct unordered pair of responses to a prompt. A vote on the same
 * two responses shown in the other order is a vote on the same pair.
 *
 * <p>With n votes, of which w are for a response and t are ties, its probability is (w + t/2) / n.
 * The response with the greater probability is {@code chosen}; if both have ½ it is the first in
 * the order of UTF-8 bytes. The margin is the mean over votes of the strength, counted negative
 * where the vote is for the other response and zero for a tie. Without strengths each vote has
 * strength 1, which makes the margin 2·probability − 1.
 */
public final class PairAggregator {
  private PairAggregator() {}

  /**
   * The pairs of comparisons.
   *
   * @param comparisons with the columns of the table {@code comparisons}
   * @return rows with the columns of the table {@code pairs}
   */
  public static Dataset<Row> pairs(Dataset<Row> comparisons) {
    Dataset<Row> tallies =
        withPreference(comparisons)
            .groupBy("pair_id")
            .agg(
                min("prompt").as("prompt"),
                min("first").as("first"),
                min("second").as("second"),
                count(lit(1)).cast("int").as("votes"),
                sum(when(col("preference").equalTo(0), 1).otherwise(0)).cast("int").as("ties"),
                sum(col("preference")).cast("int").as("balance"),
                count(col("margin")).as("strengths"),
                collect_list(col("margin").multiply(col("preference"))).as("signed"),
                min("group_key").as("group_key"),
                array_join(array_sort(collect_set("source")), ",").as("source"),
                min("split").as("split"));
    Column firstChosen = col("balance").geq(0);
    Column direction = when(firstChosen, 1).otherwise(-1);
    Column votes = col("votes");
    // In integers until the last division: no order of summation can change a bit.
    Column mean = col("balance").multiply(direction).divide(votes);
    Column meanStrength = sorted(col("signed")).multiply(direction).divide(votes);
    Column allStrong = col("strengths").equalTo(votes);
    return tallies.select(
        col("pair_id"),
        col("prompt"),
        when(firstChosen, col("first")).otherwise(col("second")).as("chosen"),
        when(firstChosen, col("second")).otherwise(col("first")).as("rejected"),
        votes.plus(col("balance").multiply(direction)).divide(votes.multiply(2)).as("probability"),
        votes,
        col("ties"),
        // Adding zero turns a negative zero into zero.
        when(allStrong, meanStrength.plus(0.0)).otherwise(mean).as("margin"),
        col("group_key"),
        col("source"),
        col("split"));
  }

  /** Adds the pair in canonical order, and whom the vote is for: 1 first, −1 second, 0 a tie. */
  private static Dataset<Row> withPreference(Dataset<Row> comparisons) {
    Column first = least(col("response_a"), col("response_b"));
    Column chosen =
        when(col("choice").equalTo("a"), col("response_a")).otherwise(col("response_b"));
    Column preference =
        when(col("choice").equalTo("tie"), 0).when(chosen.equalTo(first), 1).otherwise(-1);
    return comparisons
        .withColumn("first", first)
        .withColumn("second", greatest(col("response_a"), col("response_b")))
        .withColumn("preference", preference);
  }

  /** The sum in ascending order: the order in which votes arrive must not change its last bit. */
  private static Column sorted(Column numbers) {
    return aggregate(array_sort(numbers), lit(0.0), (sum, number) -> sum.plus(number));
  }
}
