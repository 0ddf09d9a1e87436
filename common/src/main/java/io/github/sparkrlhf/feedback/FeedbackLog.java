package io.github.sparkrlhf.feedback;

import static org.apache.spark.sql.functions.array;
import static org.apache.spark.sql.functions.array_join;
import static org.apache.spark.sql.functions.coalesce;
import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.concat;
import static org.apache.spark.sql.functions.lit;
import static org.apache.spark.sql.functions.octet_length;
import static org.apache.spark.sql.functions.sha2;
import static org.apache.spark.sql.functions.struct;
import static org.apache.spark.sql.functions.substring;
import static org.apache.spark.sql.functions.to_json;

import io.github.sparkrlhf.feedback.FeedbackColumns.Part;
import io.github.sparkrlhf.spark.JobFailure;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;

/**
 * A log of feedback, its columns evaluated and typed but its rows not yet checked.
 *
 * <p>The rows have the columns {@code source, row, given_id, has_ids, content_id, prompt,
 * response_a, response_b, choice, margin, has_margins, annotator_id, created_text, created_at,
 * group_key}.
 */
final class FeedbackLog {
  private static final int ID_DIGITS = 24;
  private static final Set<String> TIMES =
      Set.of("TIMESTAMP", "TIMESTAMP_NTZ", "DATE", "STRING", "VOID");
  private static final Set<String> NUMBERS =
      Set.of("TINYINT", "SMALLINT", "INT", "BIGINT", "FLOAT", "DOUBLE", "VOID");

  private FeedbackLog() {}

  /**
   * Evaluates the columns of a log.
   *
   * @param source the name that its rows carry
   * @throws JobFailure if an expression does not resolve or has an unusable type
   */
  static Dataset<Row> read(Dataset<Row> log, FeedbackColumns columns, String source) {
    Part prompt = text(FeedbackColumns.required(log, "--prompt", columns.prompt(), "prompt"));
    Part responseA =
        text(FeedbackColumns.required(log, "--response-a", columns.responseA(), "response_a"));
    Part responseB =
        text(FeedbackColumns.required(log, "--response-b", columns.responseB(), "response_b"));
    Part choice = choice(FeedbackColumns.required(log, "--choice", columns.choice(), "choice"));
    Optional<Part> annotator =
        FeedbackColumns.optional(log, "--annotator", columns.annotator(), "annotator_id")
            .map(FeedbackLog::atomic);
    Optional<Part> createdAt =
        FeedbackColumns.optional(log, "--created-at", columns.createdAt(), "created_at")
            .map(FeedbackLog::time);
    Part group =
        FeedbackColumns.optional(log, "--group", columns.group(), "group_key")
            .map(FeedbackLog::atomic)
            .orElse(prompt);
    Optional<Part> id =
        FeedbackColumns.optional(log, "--id", columns.id(), "feedback_id").map(FeedbackLog::atomic);
    Optional<Part> margin =
        FeedbackColumns.optional(log, "--margin", columns.margin(), "margin")
            .map(FeedbackLog::number);
    Column row = to_json(struct(sortedColumns(log)));
    return log.select(
        lit(source).as("source"),
        row.as("row"),
        textOf(id).as("given_id"),
        lit(id.isPresent()).as("has_ids"),
        hash(lit(source), row).as("content_id"),
        prompt.column().as("prompt"),
        responseA.column().as("response_a"),
        responseB.column().as("response_b"),
        choice.column().as("choice"),
        margin.map(Part::column).orElse(lit(null)).cast("double").as("margin"),
        lit(margin.isPresent()).as("has_margins"),
        textOf(annotator).as("annotator_id"),
        textOf(createdAt).as("created_text"),
        createdAt.map(Part::column).orElse(lit(null)).cast("timestamp").as("created_at"),
        group.column().cast("string").as("group_key"));
  }

  /**
   * A hash of texts, equal to the first digits of {@code StableHash.sha256(texts)}: each text is
   * preceded by its length, so that ("ab","c") and ("a","bc") differ. A null counts as empty.
   */
  static Column hash(Column... texts) {
    Column[] parts =
        Arrays.stream(texts)
            .map(text -> coalesce(text, lit("")))
            .map(text -> concat(octet_length(text).cast("string"), lit(":"), text))
            .toArray(Column[]::new);
    return substring(sha2(array_join(array(parts), "").cast("binary"), 256), 1, ID_DIGITS);
  }

  /** Sorted by name: the order of columns in a file changes no id. */
  private static Column[] sortedColumns(Dataset<Row> log) {
    return Arrays.stream(log.columns())
        .sorted()
        .map(name -> col("`" + name.replace("`", "``") + "`"))
        .toArray(Column[]::new);
  }

  private static Column textOf(Optional<Part> part) {
    return part.map(Part::column).orElse(lit(null)).cast("string");
  }

  private static Part text(Part part) {
    return require(part, part.type().equals("STRING"), "is not text (STRING)");
  }

  private static Part choice(Part part) {
    return require(
        part,
        part.type().equals("STRING"),
        "is none of 'a', 'b', 'tie'; give an expression such as --choice \"CASE label WHEN 1 THEN"
            + " 'a' WHEN 2 THEN 'b' ELSE 'tie' END\"");
  }

  private static Part time(Part part) {
    return require(part, TIMES.contains(part.type()), "is not a time");
  }

  private static Part number(Part part) {
    boolean decimal = part.type().startsWith("DECIMAL");
    return require(part, decimal || NUMBERS.contains(part.type()), "is not a number");
  }

  private static Part atomic(Part part) {
    boolean nested = List.of("ARRAY", "MAP", "STRUCT").stream().anyMatch(part.type()::startsWith);
    return require(part, !nested && !part.type().equals("BINARY"), "has no plain text form");
  }

  private static Part require(Part part, boolean usable, String why) {
    if (!usable) {
      throw JobFailure.usage(
          "Cannot read feedback: " + part.words() + " of type " + part.type() + " " + why);
    }
    return part;
  }
}
