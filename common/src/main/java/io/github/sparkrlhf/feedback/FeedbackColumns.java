package io.github.sparkrlhf.feedback;

import io.github.sparkrlhf.tables.Inputs;
import java.util.Arrays;
import java.util.Optional;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;

/**
 * Where in a log the parts of a comparison are: each is a Spark SQL expression over the log's
 * columns, or null for the column of the canonical name.
 *
 * @param prompt default {@code prompt}
 * @param responseA default {@code response_a}
 * @param responseB default {@code response_b}
 * @param choice default {@code choice}
 * @param annotator default {@code annotator_id} if there is one, else unknown
 * @param createdAt default {@code created_at} if there is one, else unknown
 * @param group default {@code group_key} if there is one, else the prompt
 * @param id default {@code feedback_id} if there is one, else a hash of the row and its source
 * @param margin default {@code margin} if there is one, else no strength is known
 */
public record FeedbackColumns(
    String prompt,
    String responseA,
    String responseB,
    String choice,
    String annotator,
    String createdAt,
    String group,
    String id,
    String margin) {

  /** All columns under their canonical names. */
  public static FeedbackColumns canonical() {
    return new FeedbackColumns(null, null, null, null, null, null, null, null, null);
  }

  /** An expression with its value per row and the words that name it in a message. */
  record Part(String option, String sql, Column column, String type) {
    /** {@code column 'choice'} or {@code --choice 'lower(choice)'}. */
    String words() {
      return sql.matches("\\w+") ? "column '" + sql + "'" : option + " '" + sql + "'";
    }
  }

  /** A part that every log must have. */
  static Part required(Dataset<Row> log, String option, String sql, String canonical) {
    return part(log, option, sql == null ? canonical : sql);
  }

  /** A part that a log may lack: empty if it is not named and the canonical column is missing. */
  static Optional<Part> optional(Dataset<Row> log, String option, String sql, String canonical) {
    if (sql == null && !Arrays.asList(log.columns()).contains(canonical)) {
      return Optional.empty();
    }
    return Optional.of(part(log, option, sql == null ? canonical : sql));
  }

  private static Part part(Dataset<Row> log, String option, String sql) {
    Column column = Inputs.expression(log, option, sql);
    String type = log.select(column).schema().fields()[0].dataType().sql();
    return new Part(option, sql, column, type);
  }
}
