package io.github.sparkrlhf.feedback;

import static org.apache.spark.sql.functions.array;
import static org.apache.spark.sql.functions.coalesce;
import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.explode;
import static org.apache.spark.sql.functions.lit;
import static org.apache.spark.sql.functions.struct;
import static org.apache.spark.sql.functions.when;

import java.util.Arrays;
import java.util.Locale;
import java.util.stream.Stream;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.functions;

/**
 * The column layouts in which other trainers read preferences. What they do not know follows behind
 * ({@link #CARRIED}); with it the layout {@code trl} of this suite reads the same comparisons back.
 */
public enum ExportLayout {
  /** TRL's preference layout: prompt, chosen, rejected, margin. */
  TRL,
  /** TRL's unpaired layout: prompt, completion, label. */
  TRL_UNPAIRED,
  /** OpenRLHF's layout for reward models and DPO: prompt, chosen, rejected, margin. */
  OPENRLHF,
  /** verl's layout: data_source, prompt (always messages), ability, reward_model, extra_info. */
  VERL;

  /** Columns of a preference that no trainer needs and that a preference is rebuilt from. */
  static final String[] CARRIED = {
    "feedback_id",
    "annotator_id",
    "started_at",
    "created_at",
    "group_key",
    "source",
    "shown_first",
    "probability",
    "weight",
    "votes",
    "split"
  };

  private static final String USER = "user";
  private static final String ASSISTANT = "assistant";

  /** The name on the command line, such as {@code trl-unpaired}. */
  @Override
  public String toString() {
    return name().toLowerCase(Locale.ROOT).replace('_', '-');
  }

  /**
   * Preferences in this layout.
   *
   * @param preferences from {@link #ofComparisons} or {@link #ofPairs}
   * @param conversational whether texts become messages of a role and a content
   */
  public Dataset<Row> of(Dataset<Row> preferences, boolean conversational) {
    return switch (this) {
      case TRL, OPENRLHF ->
          selected(
              preferences,
              prompt(conversational),
              response("chosen", conversational),
              response("rejected", conversational),
              col("margin"));
      case TRL_UNPAIRED -> unpaired(preferences, conversational);
      case VERL ->
          selected(
              preferences,
              col("source").as("data_source"),
              prompt(true),
              lit("preference").as("ability"),
              struct(lit("model").as("style"), col("chosen").as("ground_truth")).as("reward_model"),
              struct(col("feedback_id").as("index"), col("split")).as("extra_info"),
              response("chosen", true),
              response("rejected", true),
              col("margin"));
    };
  }

  /**
   * One preference for each vote that is not a tie.
   *
   * @param comparisons with the columns of the table {@code comparisons}
   */
  public static Dataset<Row> ofComparisons(Dataset<Row> comparisons) {
    Column aIsChosen = col("choice").equalTo("a");
    return comparisons
        .where(col("choice").notEqual("tie"))
        .withColumn("chosen", when(aIsChosen, col("response_a")).otherwise(col("response_b")))
        .withColumn("rejected", when(aIsChosen, col("response_b")).otherwise(col("response_a")))
        .withColumn("shown_first", when(aIsChosen, "chosen").otherwise("rejected"))
        .withColumn("group_key", col("given_group"))
        .withColumn("probability", lit(1.0))
        .withColumn("votes", lit(1));
  }

  /**
   * One preference for each decided pair; its id is the pair's.
   *
   * @param pairs with the columns of the table {@code pairs}
   */
  public static Dataset<Row> ofPairs(Dataset<Row> pairs) {
    Column unknown = lit(null);
    return pairs
        .where("decided")
        .withColumn("feedback_id", col("pair_id"))
        .withColumn("annotator_id", unknown.cast("string"))
        .withColumn("started_at", unknown.cast("timestamp"))
        .withColumn("created_at", unknown.cast("timestamp"))
        .withColumn("shown_first", unknown.cast("string"));
  }

  /**
   * Accepted and rejected responses in TRL's unpaired layout.
   *
   * @param ratings of the kind {@code binary}, with the columns of the table {@code ratings}
   */
  public static Dataset<Row> ofAcceptances(Dataset<Row> ratings, boolean conversational) {
    return ratings.select(
        prompt(conversational),
        message("response", conversational).as("completion"),
        col("rating").equalTo(1.0).as("label"),
        col("feedback_id"),
        col("annotator_id"),
        col("created_at"),
        col("given_group").as("group_key"),
        col("source"),
        col("split"));
  }

  private static Dataset<Row> unpaired(Dataset<Row> preferences, boolean conversational) {
    Column sides =
        array(
            struct(message("chosen", conversational).as("completion"), lit(true).as("label")),
            struct(message("rejected", conversational).as("completion"), lit(false).as("label")));
    Column id =
        functions.concat(
            col("feedback_id"), when(col("side.label"), lit("/chosen")).otherwise("/rejected"));
    return selected(
        preferences.withColumn("side", explode(sides)).withColumn("feedback_id", id),
        prompt(conversational),
        col("side.completion"),
        col("side.label"));
  }

  private static Dataset<Row> selected(Dataset<Row> preferences, Column... columns) {
    return preferences.select(
        Stream.concat(Arrays.stream(columns), Arrays.stream(CARRIED).map(functions::col))
            .toArray(Column[]::new));
  }

  private static Column prompt(boolean conversational) {
    return conversational
        ? coalesce(col("messages"), message("prompt", USER)).as("prompt")
        : col("prompt");
  }

  private static Column response(String name, boolean conversational) {
    return message(name, conversational).as(name);
  }

  private static Column message(String name, boolean conversational) {
    return conversational ? message(name, ASSISTANT) : col(name);
  }

  private static Column message(String name, String role) {
    return array(struct(lit(role).as("role"), col(name).as("content")));
  }
}
