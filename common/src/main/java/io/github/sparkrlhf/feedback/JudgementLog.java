package io.github.sparkrlhf.feedback;

import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.lit;
import static org.apache.spark.sql.functions.to_json;
import static org.apache.spark.sql.functions.trim;
import static org.apache.spark.sql.functions.when;
import static org.apache.spark.sql.functions.xxhash64;

import java.util.List;
import java.util.stream.Stream;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;

/**
 * A log of feedback, each of its rows read and checked on its own. Nothing is shuffled.
 *
 * <p>The rows have the columns
 *
 * <ul>
 *   <li>{@code source, feedback_id}, never null; {@code kind}: {@code comparison}, {@code rating},
 *       {@code binary}, {@code ranking}
 *   <li>{@code reason, detail}: why the row cannot be used; null if it can
 *   <li>{@code prompt}; {@code messages}, its turns if it was a conversation
 *   <li>{@code response_a, response_b, choice, margin} of a comparison
 *   <li>{@code candidates} of the other kinds, ARRAY&lt;STRUCT&lt;response, rating&gt;&gt;: one of
 *       a rating or a binary judgement, K of a ranking; a higher rating is better
 *   <li>{@code annotator_id, started_at, created_at, group_key}
 *   <li>{@code content}, BIGINT: a hash of all that the row says; rows of one id with another
 *       content contradict each other
 *   <li>{@code raw}: the row of the log as a struct, see {@link #json}
 * </ul>
 */
public final class JudgementLog {
  private JudgementLog() {}

  /**
   * Reads a log: one row out for each row of it.
   *
   * @param source the name that its rows carry unless the log names their source
   * @throws io.github.sparkrlhf.spark.JobFailure usage, if an expression does not resolve or has an
   *     unusable type
   */
  public static Dataset<Row> read(Dataset<Row> log, LogFormat format, String source) {
    LogParts parts = new LogParts(log, format);
    Judgement judgement = format.layout().judgement(parts);
    return RowChecks.checked(canonical(parts, judgement, source), parts, judgement)
        .withColumn("content", content(judgement))
        .select(
            Stream.of(
                    "source",
                    "feedback_id",
                    "kind",
                    "reason",
                    "detail",
                    "prompt",
                    "messages",
                    "response_a",
                    "response_b",
                    "choice",
                    "margin",
                    "candidates",
                    "annotator_id",
                    "started_at",
                    "created_at",
                    "group_key",
                    "content",
                    LogParts.RAW)
                .map(name -> col(name))
                .toArray(Column[]::new));
  }

  /**
   * The row of the log as JSON, from the column {@code raw}. It costs more than all else, so it is
   * best made last and only of rows that cannot be used; Spark drops what {@code raw} is made of
   * where nothing else needs it. The type of {@code raw} is that of the log: rows of several logs
   * can be put together only without it.
   *
   * <pre>{@code
   * rows.withColumn("row", when(col("reason").isNotNull(), JudgementLog.json())).drop("raw")
   * }</pre>
   */
  public static Column json() {
    return to_json(col(LogParts.RAW));
  }

  private static Dataset<Row> canonical(LogParts parts, Judgement judgement, String source) {
    Column id = RowHash.of(lit(source), json());
    return parts
        .rows()
        .withColumn("source", orElse(parts.plain(LogPart.SOURCE), lit(source)))
        .withColumn("feedback_id", orElse(parts.plain(LogPart.ID), id))
        .withColumn("kind", lit(judgement.kind()))
        .withColumn("prompt", judgement.prompt())
        .withColumn("messages", judgement.messages())
        .withColumn("response_a", judgement.responseA())
        .withColumn("response_b", judgement.responseB())
        .withColumn("choice", judgement.choice())
        .withColumn("margin", judgement.margin())
        .withColumn("candidates", judgement.candidates())
        .withColumn("annotator_id", parts.plain(LogPart.ANNOTATOR))
        .withColumn("started_at", parts.time(LogPart.STARTED_AT))
        .withColumn("created_at", parts.time(LogPart.CREATED_AT))
        .withColumn(
            "group_key", parts.has(LogPart.GROUP) ? parts.plain(LogPart.GROUP) : col("prompt"));
  }

  private static Column content(Judgement judgement) {
    List<String> said =
        judgement.isComparison()
            ? List.of("response_a", "response_b", "choice", "margin")
            : List.of("candidates");
    List<String> context =
        List.of("prompt", "annotator_id", "started_at", "created_at", "group_key");
    // The hash passes over nulls, so where they are is part of what is hashed.
    return xxhash64(
        Stream.concat(said.stream(), context.stream())
            .flatMap(name -> Stream.of(col(name), col(name).isNull()))
            .toArray(Column[]::new));
  }

  private static Column orElse(Column text, Column otherwise) {
    return when(trim(text).notEqual(""), text).otherwise(otherwise);
  }
}
