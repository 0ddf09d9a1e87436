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
import org.apache.spark.sql.functions;

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
 *   <li>{@code response_a, response_b, choice, margin} of a comparison, and the {@link TextForm}s
 *       {@code prompt_form, response_a_form, response_b_form}
 *   <li>{@code candidates} of the other kinds, ARRAY&lt;STRUCT&lt;response, rating&gt;&gt;: one of
 *       a rating or a binary judgement, K of a ranking; a higher rating is better
 *   <li>{@code annotator_id, started_at, created_at, group_key}
 *   <li>{@code content}, BIGINT: a hash of all that the row says; rows of one id with another
 *       content contradict each other
 *   <li>{@code raw}: the row of the log as a struct, see {@link #json}
 * </ul>
 */
public final class JudgementLog {
  /** The 64-bit hash of {@code feedback_id}. */
  static final String ID_HASH = "id_hash";

  private final LogParts parts;
  private final Judgement judgement;
  private final String source;

  /**
   * Resolves the parts of a log.
   *
   * @param source the name that its rows carry unless the log names their source
   * @throws io.github.sparkrlhf.spark.JobFailure usage, if an expression does not resolve or has an
   *     unusable type
   */
  JudgementLog(Dataset<Row> log, LogFormat format, String source) {
    this.parts = new LogParts(log, format);
    this.judgement = format.layout().judgement(parts);
    this.source = source;
  }

  /**
   * Reads a log: one row out for each row of it.
   *
   * @param source the name that its rows carry unless the log names their source
   * @throws io.github.sparkrlhf.spark.JobFailure usage, if an expression does not resolve or has an
   *     unusable type
   */
  public static Dataset<Row> read(Dataset<Row> log, LogFormat format, String source) {
    return new JudgementLog(log, format, source).rows();
  }

  /** One row out for each row of the log. */
  Dataset<Row> rows() {
    return checked(parts.rows());
  }

  /**
   * The rows with one of these ids. The others are dropped before their texts are looked at.
   *
   * @param ids with the column {@value #ID_HASH}
   */
  Dataset<Row> rowsOf(Dataset<Row> ids) {
    return checked(
        parts
            .rows()
            .withColumn(ID_HASH, xxhash64(id()))
            .join(ids, new String[] {ID_HASH}, "left_semi"));
  }

  /**
   * The column {@value #ID_HASH} of all rows, but of those without an id in a log of ids: whatever
   * else they say, they cannot be used. If the log has ids, nothing else of it is read.
   */
  Dataset<Row> idHashes() {
    Column given = parts.plain(LogPart.ID);
    return parts.has(LogPart.ID)
        ? parts.rows().where(trim(given).notEqual("")).select(xxhash64(given).as(ID_HASH))
        : parts.rows().select(xxhash64(id()).as(ID_HASH));
  }

  private Dataset<Row> checked(Dataset<Row> rows) {
    return RowChecks.checked(canonical(rows), parts, judgement)
        .withColumn("content", content(judgement))
        .select(
            columns(
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
                LogParts.RAW));
  }

  /** The forms of the texts are known here, and cost more than all that is made of them. */
  private Column[] columns(String... names) {
    List<String> forms = judgement.isComparison() ? PairIdentity.FORMS : List.of();
    return Stream.concat(Stream.of(names), forms.stream())
        .map(functions::col)
        .toArray(Column[]::new);
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

  private Column id() {
    return orElse(parts.plain(LogPart.ID), RowHash.of(lit(source), json()));
  }

  private Dataset<Row> canonical(Dataset<Row> rows) {
    return rows.withColumn("source", orElse(parts.plain(LogPart.SOURCE), lit(source)))
        .withColumn("feedback_id", id())
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
