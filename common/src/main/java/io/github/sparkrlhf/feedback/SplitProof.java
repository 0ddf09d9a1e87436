package io.github.sparkrlhf.feedback;

import static org.apache.spark.sql.functions.bit_or;
import static org.apache.spark.sql.functions.coalesce;
import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.count;
import static org.apache.spark.sql.functions.lit;
import static org.apache.spark.sql.functions.sum;
import static org.apache.spark.sql.functions.when;
import static org.apache.spark.sql.functions.xxhash64;

import java.util.List;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.types.StructType;

/**
 * What lies in each split, and how much of it also lies in another one. It is counted from the rows
 * as they are, whatever put them into their splits: a defect of the grouping shows here.
 *
 * <p>The splits in which a thing lies are a number with one bit per split, so that everything is
 * first reduced to how many things of a kind lie in the same splits.
 */
public final class SplitProof {
  private static final String GROUPS = "groups";
  private static final String PROMPTS = "prompts";
  private static final String TEXTS = "loose_prompts";
  private static final String PAIRS = "pairs";
  private static final String ANY_PAIRS = "pairs_and_their_comparisons";
  private static final String COMPARISONS = "comparisons";
  private static final String NEAR_DUPLICATES = "near_duplicates";
  private static final int ALL = (1 << Splits.NAMES.size()) - 1;

  private SplitProof() {}

  /**
   * Counts the groups, prompts, pairs and comparisons of each split.
   *
   * <p>What also lies in another split: {@code shared_groups}; {@code shared_prompts}, counted in
   * their loose form ({@link NormalizedText#loose}); {@code shared_near_duplicates}, the pairs of
   * near-duplicate prompts of which one lies in this split and the other in another one; {@code
   * shared_pairs}. Prompts and pairs are looked for in both tables.
   *
   * @param comparisons with prompt, group_key, split, pair_id, feedback_id
   * @param pairs with pair_id, prompt, split
   * @param splits gives the shares
   * @param duplicates with the columns of the table {@code duplicates}; kind {@code near} is read
   * @return the columns of the table {@code splits} but {@code run_id}; one row per split, also for
   *     an empty one
   */
  public static Dataset<Row> table(
      Dataset<Row> comparisons, Dataset<Row> pairs, Splits splits, Dataset<Row> duplicates) {
    Dataset<Row> voted = comparisons.select("prompt", "pair_id", "split");
    Dataset<Row> all = voted.union(pairs.select("prompt", "pair_id", "split"));
    Dataset<Row> texts = places(all, text("prompt"));
    Column split = bit(col("split"));
    Dataset<Row> tallies =
        tally(GROUPS, places(comparisons, xxhash64(col("group_key"))))
            .union(tally(PROMPTS, places(all, xxhash64(col("prompt")))))
            .union(tally(TEXTS, texts))
            .union(tally(PAIRS, places(pairs, xxhash64(col("pair_id")))))
            .union(tally(ANY_PAIRS, places(all, xxhash64(col("pair_id")))))
            .union(tally(COMPARISONS, comparisons.select(split.as("places"))))
            .union(tally(NEAR_DUPLICATES, nearDuplicates(duplicates, texts), col("others")));
    return table(tallies, shares(comparisons, splits));
  }

  /** The splits of each thing: the columns thing and places. */
  private static Dataset<Row> places(Dataset<Row> rows, Column thing) {
    return rows.groupBy(thing.as("thing")).agg(bit_or(bit(col("split"))).as("places"));
  }

  /** The splits of both prompts of each pair of near-duplicates: the columns places and others. */
  private static Dataset<Row> nearDuplicates(Dataset<Row> duplicates, Dataset<Row> texts) {
    return duplicates
        .where(col("kind").equalTo("near"))
        .select(text("prompt_a").as("a"), text("prompt_b").as("b"))
        .join(texts.toDF("a", "places"), "a")
        .join(texts.toDF("b", "others"), "b");
  }

  private static Dataset<Row> tally(String kind, Dataset<Row> things) {
    return tally(kind, things, col("places"));
  }

  /** How many things lie in the same splits: the columns kind, places, others and n. */
  private static Dataset<Row> tally(String kind, Dataset<Row> things, Column others) {
    return things
        .groupBy(col("places"), others.as("others"))
        .agg(count(lit(1)).as("n"))
        .select(lit(kind).as("kind"), col("places"), col("others"), col("n"));
  }

  private static Dataset<Row> table(Dataset<Row> tallies, Dataset<Row> shares) {
    Column split = bit(col("split"));
    Column lies = meets("places", split);
    Column elsewhere = split.bitwiseXOR(lit(ALL));
    Column shared =
        lies.and(meets("others", elsewhere))
            .or(meets("others", split).and(meets("places", elsewhere)));
    return shares
        .join(tallies, lies.or(shared), "left_outer")
        .groupBy("split", "share")
        .agg(
            total(GROUPS, lies).as("groups"),
            total(PROMPTS, lies).as("prompts"),
            total(PAIRS, lies).as("pairs"),
            total(COMPARISONS, lies).as("comparisons"),
            total(GROUPS, shared).as("shared_groups"),
            total(TEXTS, shared).as("shared_prompts"),
            total(NEAR_DUPLICATES, shared).as("shared_near_duplicates"),
            total(ANY_PAIRS, shared).as("shared_pairs"));
  }

  private static Column total(String kind, Column condition) {
    Column counted = col("kind").equalTo(kind).and(condition);
    return coalesce(sum(when(counted, col("n"))), lit(0L));
  }

  private static Column meets(String places, Column bits) {
    return col(places).bitwiseAND(bits).notEqual(0);
  }

  /** The bit of a split; 0 for what is none. */
  private static Column bit(Column split) {
    Column bit = lit(0);
    for (int i = 0; i < Splits.NAMES.size(); i++) {
      bit = when(split.equalTo(Splits.NAMES.get(i)), 1 << i).otherwise(bit);
    }
    return bit;
  }

  private static Column text(String prompt) {
    return xxhash64(NormalizedText.loose(col(prompt)));
  }

  private static Dataset<Row> shares(Dataset<Row> comparisons, Splits splits) {
    List<Row> rows =
        Splits.NAMES.stream().map(name -> RowFactory.create(name, splits.share(name))).toList();
    return comparisons
        .sparkSession()
        .createDataFrame(rows, StructType.fromDDL("split STRING, share DOUBLE"));
  }
}
