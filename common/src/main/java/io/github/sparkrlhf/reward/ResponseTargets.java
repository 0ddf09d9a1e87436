package io.github.sparkrlhf.reward;

import static org.apache.spark.sql.functions.array;
import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.explode;
import static org.apache.spark.sql.functions.lit;
import static org.apache.spark.sql.functions.struct;

import java.util.Arrays;
import java.util.Iterator;
import java.util.NoSuchElementException;
import org.apache.spark.api.java.function.MapPartitionsFunction;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.catalyst.encoders.ExpressionEncoder;
import org.apache.spark.sql.types.StructType;

/**
 * What each response is worth by itself, the target of a regression: one row per prompt and
 * response, in one sorted partition, so that everything that is summed over them is summed in one
 * order.
 */
public final class ResponseTargets {
  /** The column with the target, a double. */
  public static final String TARGET = "target";

  /** The column with the weight of the target, a double above 0. */
  public static final String WEIGHT = "weight";

  private static final StructType SCHEMA =
      StructType.fromDDL("prompt STRING, response STRING, target DOUBLE, weight DOUBLE");

  private ResponseTargets() {}

  /**
   * The share of comparisons that each response wins against the others of its prompt, a tie being
   * half a win: the mean over its pairs of the probability that it is the better one, weighted by
   * the pairs' weights.
   *
   * @param pairs pair_id, prompt, chosen, rejected, probability; weight if there is one, at least 0
   * @return prompt, response, target in [0, 1], weight (the sum of the pairs' weights); responses
   *     whose weights are all 0 are left out
   */
  public static Dataset<Row> winShares(Dataset<Row> pairs) {
    boolean weighted = Arrays.asList(pairs.columns()).contains(WEIGHT);
    Column probability = col("probability");
    Column sides =
        array(
            struct(col("chosen").as("response"), probability.as("value")),
            struct(col("rejected").as("response"), lit(1.0).minus(probability).as("value")));
    Dataset<Row> values =
        pairs
            .select(
                col("prompt"),
                explode(sides).as("side"),
                (weighted ? col(WEIGHT) : lit(1.0)).as(WEIGHT),
                col("pair_id").as("id"))
            .where(WEIGHT + " > 0")
            .select("prompt", "side.response", "side.value", WEIGHT, "id");
    return means(values);
  }

  /**
   * The mean rating of each response after each annotator's habit of rating high or low is taken
   * away.
   *
   * @param ratings rows of the table {@code ratings}: feedback_id, prompt, response, rating,
   *     annotator_id
   * @return prompt, response, target in the unit of the ratings, weight (how many ratings)
   */
  public static Dataset<Row> ratings(Dataset<Row> ratings, AnnotatorOffsets offsets) {
    return means(
        offsets
            .subtractedFrom(ratings)
            .select(
                col("prompt"),
                col("response"),
                col("rating").as("value"),
                lit(1.0).as(WEIGHT),
                col("feedback_id").as("id")));
  }

  /** The weighted mean of the values of each response. */
  private static Dataset<Row> means(Dataset<Row> values) {
    return values
        .repartition(1)
        .sortWithinPartitions("prompt", "response", "id", "value", WEIGHT)
        .mapPartitions(
            (MapPartitionsFunction<Row, Row>) Means::new, ExpressionEncoder.apply(SCHEMA));
  }

  /** One row for each run of equal prompts and responses. */
  private static final class Means implements Iterator<Row> {
    private final Iterator<Row> rows;
    private Row next;

    Means(Iterator<Row> rows) {
      this.rows = rows;
      this.next = rows.hasNext() ? rows.next() : null;
    }

    @Override
    public boolean hasNext() {
      return next != null;
    }

    @Override
    public Row next() {
      if (next == null) {
        throw new NoSuchElementException();
      }
      String prompt = next.getString(0);
      String response = next.getString(1);
      double sum = 0;
      double weights = 0;
      while (next != null
          && next.getString(0).equals(prompt)
          && next.getString(1).equals(response)) {
        sum += next.getDouble(2) * next.getDouble(3);
        weights += next.getDouble(3);
        next = rows.hasNext() ? rows.next() : null;
      }
      return RowFactory.create(prompt, response, sum / weights, weights);
    }
  }
}
