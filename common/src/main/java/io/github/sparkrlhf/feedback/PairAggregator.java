package io.github.sparkrlhf.feedback;

import static org.apache.spark.sql.functions.aggregate;
import static org.apache.spark.sql.functions.array_join;
import static org.apache.spark.sql.functions.array_sort;
import static org.apache.spark.sql.functions.avg;
import static org.apache.spark.sql.functions.coalesce;
import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.collect_list;
import static org.apache.spark.sql.functions.collect_set;
import static org.apache.spark.sql.functions.count;
import static org.apache.spark.sql.functions.exp;
import static org.apache.spark.sql.functions.expr;
import static org.apache.spark.sql.functions.greatest;
import static org.apache.spark.sql.functions.least;
import static org.apache.spark.sql.functions.lit;
import static org.apache.spark.sql.functions.log1p;
import static org.apache.spark.sql.functions.min;
import static org.apache.spark.sql.functions.round;
import static org.apache.spark.sql.functions.sum;
import static org.apache.spark.sql.functions.udf;
import static org.apache.spark.sql.functions.when;
import static org.apache.spark.sql.functions.xxhash64;

import java.util.ArrayList;
import java.util.List;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.api.java.UDF1;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.util.sketch.BloomFilter;

/**
 * Turns votes into one row per distinct unordered pair of responses to a prompt ({@link
 * PairIdentity}).
 *
 * <p>{@code chosen} is the response that is more probably the better one; if both are equally
 * probable it is the first of the pair. {@code probability} is P(chosen is better) + P(tie) / 2. A
 * pair is {@code decided} if its chosen response is more probable than a tie and than the other.
 *
 * <p>With n votes, of which w are for the chosen response and t are ties, {@code vote_share} is (w
 * + t/2) / n. {@code margin} is the mean over votes of the strength, counted negative where the
 * vote is for the other response and zero for a tie. Without strengths each vote has strength 1,
 * which makes the margin 2·vote_share − 1. {@code weight} is the probability that at least one vote
 * was informed, 1 − Π(1 − w) over the votes' weights.
 */
public final class PairAggregator {
  /** 2^30 steps to 1: whole numbers add up to the same sum in any order. */
  private static final long STEPS = 1L << 30;

  /** A vote that is certainly informed would have an infinite logarithm. */
  private static final double GREATEST_WEIGHT = 1 - 1e-9;

  private static final double FALSE_POSITIVES = 0.01;

  private PairAggregator() {}

  /**
   * Whether people prefer one response of a pair, which is what a reward model is held against.
   *
   * @param pairs with decided, or else with probability: ½ means that they do not
   */
  public static Column isDecided(Dataset<Row> pairs) {
    return List.of(pairs.columns()).contains("decided")
        ? col("decided")
        : col("probability").notEqual(0.5);
  }

  /**
   * Whether the chosen response is the first of its pair, which is what {@code swapped} in the
   * comparisons refers to; over the columns chosen and rejected.
   */
  public static Column firstIsChosen() {
    return NormalizedText.identity(col("chosen")).lt(NormalizedText.identity(col("rejected")));
  }

  /**
   * The shares of the votes on a pair as its probabilities: all votes count the same.
   *
   * @param votes pair_id, swapped, choice
   * @return pair_id, first_probability, second_probability, tie_probability
   */
  static Dataset<Row> voteShares(Dataset<Row> votes) {
    Column tie = col("choice").equalTo("tie");
    Column forFirst = col("choice").equalTo("a").notEqual(col("swapped"));
    return votes
        .groupBy("pair_id")
        .agg(
            avg(when(tie.equalTo(false).and(forFirst), 1).otherwise(0)).as("first_probability"),
            avg(when(tie.or(forFirst), 0).otherwise(1)).as("second_probability"),
            avg(when(tie, 1).otherwise(0)).as("tie_probability"));
  }

  /**
   * The pairs without their texts.
   *
   * @param votes vote_key, pair_id, swapped, choice, margin, source, weight (null counts as 1)
   * @param posterior pair_id, first_probability, second_probability, tie_probability; one row a
   *     pair
   * @param sources the names that stand in the column source
   * @param strengths whether any vote has a margin
   * @return pair_id, first_chosen, probability, tie_probability, decided, vote_share, votes, ties,
   *     margin, weight, source, and in representative the hash of the id of one of its votes
   */
  static Dataset<Row> tallies(
      Dataset<Row> votes, Dataset<Row> posterior, List<String> sources, boolean strengths) {
    Column forFirst = col("choice").equalTo("a").notEqual(col("swapped"));
    Column preference = when(col("choice").equalTo("tie"), 0).when(forFirst, 1).otherwise(-1);
    Column ignorance =
        log1p(least(coalesce(col("weight"), lit(1.0)), lit(GREATEST_WEIGHT)).multiply(-1));
    List<Column> sums =
        new ArrayList<>(
            List.of(
                sum(when(col("preference").equalTo(0), 1).otherwise(0)).cast("int").as("ties"),
                sum(col("preference")).cast("int").as("balance"),
                sum(round(ignorance.multiply(STEPS)).cast("long")).as("ignorance"),
                min("vote_key").as("representative")));
    // Spark sorts to collect lists: only where there is something to collect.
    if (strengths) {
      sums.add(count(col("margin")).as("strengths"));
      sums.add(collect_list(col("margin").multiply(col("preference"))).as("signed"));
    }
    if (sources.size() != 1) {
      sums.add(array_join(array_sort(collect_set("source")), ",").as("source"));
    }
    Dataset<Row> counted =
        votes
            .withColumn("preference", preference)
            .groupBy("pair_id")
            .agg(count(lit(1)).cast("int").as("votes"), sums.toArray(Column[]::new));
    Column first = col("first_probability");
    Column second = col("second_probability");
    Column tie = col("tie_probability");
    Column firstChosen = first.geq(second);
    Column direction = when(firstChosen, 1).otherwise(-1);
    Column count = col("votes");
    Column towards = col("balance").multiply(direction);
    Column meanPreference = towards.divide(count);
    Column margin =
        strengths
            ? when(
                    col("strengths").equalTo(count),
                    sorted(col("signed")).multiply(direction).divide(count))
                .otherwise(meanPreference)
            : meanPreference;
    return counted
        .join(posterior, "pair_id")
        .select(
            col("pair_id"),
            firstChosen.as("first_chosen"),
            greatest(first, second).plus(tie.divide(2)).as("probability"),
            tie,
            greatest(first, second).gt(greatest(least(first, second), tie)).as("decided"),
            // In integers until the last division: no order of summation can change a bit.
            count.plus(towards).divide(count.multiply(2)).as("vote_share"),
            count,
            col("ties"),
            // Adding zero turns a negative zero into zero.
            margin.plus(0.0).as("margin"),
            lit(1.0).minus(exp(col("ignorance").divide(STEPS))).as("weight"),
            sources.size() != 1 ? col("source") : lit(sources.get(0)).as("source"),
            col("representative"));
  }

  /**
   * The rows of the table {@code pairs}: tallies with the texts of a representative vote.
   *
   * @param comparisons feedback_id, pair_id, prompt, messages, response_a, response_b, swapped,
   *     group_key, split
   */
  static Dataset<Row> withTexts(Dataset<Row> tallies, Dataset<Row> comparisons) {
    Column firstOne = when(col("swapped"), col("response_b")).otherwise(col("response_a"));
    Column secondOne = when(col("swapped"), col("response_a")).otherwise(col("response_b"));
    Column chosen = col("first_chosen");
    return representatives(tallies, comparisons)
        .join(tallies, expr("representative = id_hash AND pair_id = vote_pair"))
        .select(
            col("pair_id"),
            col("prompt"),
            col("messages"),
            when(chosen, firstOne).otherwise(secondOne).as("chosen"),
            when(chosen, secondOne).otherwise(firstOne).as("rejected"),
            col("probability"),
            col("tie_probability"),
            col("decided"),
            col("vote_share"),
            col("votes"),
            col("ties"),
            col("margin"),
            col("weight"),
            col("group_key"),
            col("source"),
            col("split"));
  }

  /**
   * Few votes stand for a pair. A Bloom filter drops most of the others where they are read, so
   * that their texts are not shuffled.
   */
  private static Dataset<Row> representatives(Dataset<Row> tallies, Dataset<Row> comparisons) {
    Dataset<Row> hashed =
        comparisons.select(
            xxhash64(col("feedback_id")).as("id_hash"),
            col("pair_id").as("vote_pair"),
            col("prompt"),
            col("messages"),
            col("response_a"),
            col("response_b"),
            col("swapped"),
            col("group_key"),
            col("split"));
    long pairs = tallies.count();
    if (pairs == 0) {
      return hashed;
    }
    BloomFilter filter = tallies.stat().bloomFilter("representative", pairs, FALSE_POSITIVES);
    UDF1<Long, Boolean> mayBe = filter::mightContainLong;
    return hashed.where(udf(mayBe, DataTypes.BooleanType).apply(col("id_hash")));
  }

  /** The sum in ascending order: the order in which votes arrive must not change its last bit. */
  private static Column sorted(Column numbers) {
    return aggregate(array_sort(numbers), lit(0.0), (sum, number) -> sum.plus(number));
  }
}
