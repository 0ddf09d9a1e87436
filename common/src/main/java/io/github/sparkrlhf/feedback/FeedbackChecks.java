package io.github.sparkrlhf.feedback;

import static org.apache.spark.sql.functions.coalesce;
import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.concat;
import static org.apache.spark.sql.functions.greatest;
import static org.apache.spark.sql.functions.least;
import static org.apache.spark.sql.functions.lit;
import static org.apache.spark.sql.functions.lower;
import static org.apache.spark.sql.functions.max;
import static org.apache.spark.sql.functions.min;
import static org.apache.spark.sql.functions.row_number;
import static org.apache.spark.sql.functions.trim;
import static org.apache.spark.sql.functions.when;

import java.util.ArrayList;
import java.util.List;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.expressions.Window;
import org.apache.spark.sql.expressions.WindowSpec;

/**
 * Finds out which rows of a {@link FeedbackLog} can be used: adds {@code feedback_id}, {@code
 * pair_id}, {@code reason} (null for a usable row) and {@code detail}, and brings choices and
 * margins into their canonical form.
 */
final class FeedbackChecks {
  private static final Column UNSET = lit(null).cast("string");

  private FeedbackChecks() {}

  static Dataset<Row> checked(Dataset<Row> log) {
    return withConflictingGroups(withDuplicates(canonical(withRowReasons(log))));
  }

  /** What can be seen by looking at the row alone. */
  private static Dataset<Row> withRowReasons(Dataset<Row> log) {
    Column choice = lower(trim(col("choice")));
    Column tie = choice.equalTo("tie");
    Column margin = col("margin");
    Column number = margin.isNotNull().and(margin.isNaN().equalTo(false));
    Column strength = number.and(margin.geq(0)).and(margin.lt(Double.POSITIVE_INFINITY));
    Rules rules = new Rules();
    rules.add(QuarantineReason.BLANK_PROMPT, blank("prompt"), UNSET);
    rules.add(
        QuarantineReason.BLANK_RESPONSE,
        blank("response_a").or(blank("response_b")),
        when(blank("response_a"), "response_a").otherwise("response_b"));
    rules.add(
        QuarantineReason.IDENTICAL_RESPONSES, col("response_a").equalTo(col("response_b")), UNSET);
    rules.add(QuarantineReason.MISSING_CHOICE, blank("choice"), UNSET);
    rules.add(
        QuarantineReason.UNKNOWN_CHOICE,
        choice.isin("a", "b", "tie").equalTo(false),
        col("choice"));
    rules.add(
        QuarantineReason.INVALID_MARGIN,
        col("has_margins")
            .and(strength.equalTo(false))
            .and(margin.isNotNull().or(tie.equalTo(false))),
        coalesce(margin.cast("string"), lit("null")));
    rules.add(
        QuarantineReason.INVALID_CREATED_AT,
        col("created_text").isNotNull().and(col("created_at").isNull()),
        col("created_text"));
    rules.add(QuarantineReason.MISSING_GROUP, blank("group_key"), UNSET);
    rules.add(QuarantineReason.MISSING_FEEDBACK_ID, col("has_ids").and(blank("given_id")), UNSET);
    return log.withColumn("reason", rules.reason()).withColumn("detail", rules.detail());
  }

  private static Dataset<Row> canonical(Dataset<Row> log) {
    Column id = when(blank("given_id"), col("content_id")).otherwise(col("given_id"));
    Column first = least(col("response_a"), col("response_b"));
    Column second = greatest(col("response_a"), col("response_b"));
    Column choice = lower(trim(col("choice")));
    return log.withColumn("feedback_id", id)
        .withColumn(
            "pair_id", when(col("reason").isNull(), FeedbackLog.hash(col("prompt"), first, second)))
        .withColumn("choice", choice)
        // A tie has no strength, whatever the log says.
        .withColumn(
            "margin",
            when(col("has_margins"), when(choice.equalTo("tie"), 0.0).otherwise(col("margin"))));
  }

  /** What can be seen by looking at all rows of the same id. */
  private static Dataset<Row> withDuplicates(Dataset<Row> log) {
    Column vote =
        FeedbackLog.hash(
            col("prompt"),
            col("response_a"),
            col("response_b"),
            col("choice"),
            col("margin").cast("string"),
            col("annotator_id"),
            col("created_at").cast("string"),
            col("group_key"));
    // Unusable rows have their reason already and must not displace a usable row of the same id.
    WindowSpec sameId = Window.partitionBy("feedback_id", "reason");
    // Copies of a vote may differ in source or unused columns: the order must be total all the
    // same.
    Column place = row_number().over(sameId.orderBy("vote", "source", "row"));
    Dataset<Row> placed =
        log.withColumn("vote", vote)
            .withColumn("place", place)
            .withColumn("first_vote", min("vote").over(sameId))
            .withColumn("last_vote", max("vote").over(sameId));
    Rules rules = new Rules();
    rules.add(
        QuarantineReason.CONFLICTING_FEEDBACK_ID,
        col("first_vote").notEqual(col("last_vote")),
        UNSET);
    rules.add(QuarantineReason.DUPLICATE_FEEDBACK_ID, col("place").gt(1), UNSET);
    return rules.where(placed).drop("vote", "place", "first_vote", "last_vote");
  }

  /** What can be seen by looking at all votes on the same pair. */
  private static Dataset<Row> withConflictingGroups(Dataset<Row> log) {
    // Unusable rows have no pair; their own id spreads them over the cluster.
    WindowSpec samePair = Window.partitionBy("key");
    Dataset<Row> compared =
        log.withColumn(
                "key", when(col("reason").isNull(), col("pair_id")).otherwise(col("feedback_id")))
            .withColumn("first_group", min("group_key").over(samePair))
            .withColumn("last_group", max("group_key").over(samePair));
    Rules rules = new Rules();
    rules.add(
        QuarantineReason.CONFLICTING_GROUP,
        col("first_group").notEqual(col("last_group")),
        concat(col("first_group"), lit(" and "), col("last_group")));
    return rules.where(compared).drop("key", "first_group", "last_group");
  }

  private static Column blank(String name) {
    // (?U): white space of any script, such as a no-break space.
    return coalesce(col(name), lit("")).rlike("(?U)\\S").equalTo(false);
  }

  /** Conditions in order; the first that holds gives the reason. */
  private static final class Rules {
    private final List<Column> reasons = new ArrayList<>();
    private final List<Column> details = new ArrayList<>();

    void add(QuarantineReason reason, Column condition, Column detail) {
      reasons.add(when(condition, reason.code()));
      // An empty detail ends the search as well: a later rule must not explain an earlier one.
      details.add(when(condition, coalesce(detail, lit(""))));
    }

    Column reason() {
      return coalesce(reasons.toArray(Column[]::new));
    }

    Column detail() {
      Column detail = coalesce(details.toArray(Column[]::new));
      return when(detail.notEqual(""), detail);
    }

    /** The rows with these rules applied where no earlier reason stands. */
    Dataset<Row> where(Dataset<Row> rows) {
      Column open = col("reason").isNull();
      Column reason = when(open, reason()).otherwise(col("reason"));
      Column detail = when(open, detail()).otherwise(col("detail"));
      return rows.withColumn("detail", detail).withColumn("reason", reason);
    }
  }
}
