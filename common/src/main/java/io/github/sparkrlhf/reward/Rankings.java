package io.github.sparkrlhf.reward;

import static org.apache.spark.sql.functions.array;
import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.explode;
import static org.apache.spark.sql.functions.first;
import static org.apache.spark.sql.functions.lit;
import static org.apache.spark.sql.functions.reverse;
import static org.apache.spark.sql.functions.sort_array;
import static org.apache.spark.sql.functions.struct;
import static org.apache.spark.sql.functions.sum;
import static org.apache.spark.sql.functions.when;

import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.functions;

/** Puts together again the rankings that stand in {@code comparisons} as pairs. */
public final class Rankings {
  private Rankings() {}

  /**
   * The rankings of some comparisons. A ranking has a comparison of each two of its responses, so
   * the points of a response (1 for each that it beats, ½ for each that it equals) give its place.
   *
   * @param comparisons rows of the table {@code comparisons}; those of other kinds are passed over
   * @return id, prompt, split, and ranked, an array of (points, response), the best first
   */
  public static Dataset<Row> of(Dataset<Row> comparisons) {
    Column ofA =
        when(col("choice").equalTo("a"), 1.0).when(col("choice").equalTo("tie"), 0.5).otherwise(0);
    return comparisons
        .where(col("kind").equalTo("ranking"))
        .select(
            col("source"),
            col("original_id"),
            col("prompt"),
            col("split"),
            explode(
                    array(
                        struct(col("response_a").as("response"), ofA.as("points")),
                        struct(col("response_b").as("response"), lit(1.0).minus(ofA).as("points"))))
                .as("side"))
        .groupBy("source", "original_id", "prompt", "split", "side.response")
        .agg(sum("side.points").as("points"))
        .groupBy("source", "original_id")
        .agg(
            first("prompt").as("prompt"),
            first("split").as("split"),
            reverse(sort_array(functions.collect_list(struct("points", "response")))).as("ranked"))
        .select(
            functions.concat_ws("\n", col("source"), col("original_id")).as("id"),
            col("prompt"),
            col("split"),
            col("ranked"));
  }
}
