package io.github.sparkrlhf.feedback;

import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.greatest;
import static org.apache.spark.sql.functions.least;
import static org.apache.spark.sql.functions.xxhash64;

import java.util.List;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;

/**
 * Which comparisons are votes on the same pair: those on the same prompt and the same two
 * responses, in either order, where texts are the same if their {@link NormalizedText#identity} is.
 * The first response of a pair is the one whose identity comes first in the order of UTF-8 bytes.
 */
public final class PairIdentity {
  /** What {@link #added} adds. */
  static final List<String> COLUMNS =
      List.of("pair_id", "swapped", "prompt_key", "first_key", "second_key");

  /** The forms of the texts: whoever has them need not look at the texts again. */
  static final List<String> FORMS = List.of("prompt_form", "response_a_form", "response_b_form");

  private PairIdentity() {}

  /**
   * Adds {@code pair_id}; {@code swapped}, true where response_b is the first of the pair; and the
   * 64-bit hashes {@code prompt_key}, {@code first_key}, {@code second_key}.
   *
   * @param comparisons with prompt, response_a, response_b, and the columns {@link #FORMS} if they
   *     are known, which are dropped
   */
  public static Dataset<Row> added(Dataset<Row> comparisons) {
    Column first = least(col("identity_a"), col("identity_b"));
    Column second = greatest(col("identity_a"), col("identity_b"));
    return comparisons
        .withColumn("identity", identity(comparisons, "prompt"))
        .withColumn("identity_a", identity(comparisons, "response_a"))
        .withColumn("identity_b", identity(comparisons, "response_b"))
        .withColumn("pair_id", RowHash.of(col("identity"), first, second))
        .withColumn("swapped", col("identity_b").lt(col("identity_a")))
        .withColumn("prompt_key", xxhash64(col("identity")))
        .withColumn("first_key", xxhash64(first))
        .withColumn("second_key", xxhash64(second))
        .drop("identity", "identity_a", "identity_b")
        .drop(FORMS.toArray(String[]::new));
  }

  private static Column identity(Dataset<Row> comparisons, String text) {
    String form = text + "_form";
    return List.of(comparisons.columns()).contains(form)
        ? NormalizedText.identity(col(text), col(form))
        : NormalizedText.identity(col(text));
  }
}
