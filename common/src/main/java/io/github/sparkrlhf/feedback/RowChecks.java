package io.github.sparkrlhf.feedback;

import static org.apache.spark.sql.functions.array_contains;
import static org.apache.spark.sql.functions.array_distinct;
import static org.apache.spark.sql.functions.array_position;
import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.concat;
import static org.apache.spark.sql.functions.concat_ws;
import static org.apache.spark.sql.functions.expr;
import static org.apache.spark.sql.functions.lit;
import static org.apache.spark.sql.functions.size;
import static org.apache.spark.sql.functions.transform;
import static org.apache.spark.sql.functions.udf;
import static org.apache.spark.sql.functions.when;

import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.api.java.UDF1;
import org.apache.spark.sql.expressions.UserDefinedFunction;
import org.apache.spark.sql.types.DataTypes;

/** What can be seen to be wrong with a judgement by looking at its row alone. */
final class RowChecks {
  /**
   * The text itself. Spark would push a filter on the reason, or on any column beside it, down to
   * the log and check every row twice; it leaves what it believes to be random where it is.
   */
  private static final UserDefinedFunction SETTLED =
      udf((UDF1<String, String>) reason -> reason, DataTypes.StringType).asNondeterministic();

  private static final Column CANDIDATE_FORMS = col("candidate_forms");

  private final LogParts parts;
  private final Judgement judgement;
  private final int maxCharacters;
  private final RowRules rules = new RowRules();

  private RowChecks(LogParts parts, Judgement judgement) {
    this.parts = parts;
    this.judgement = judgement;
    this.maxCharacters = parts.format().maxTextCharacters();
  }

  /**
   * Adds {@code reason} and {@code detail}, both null for a usable row.
   *
   * @param rows the parts of the log and the canonical columns of the judgement
   */
  static Dataset<Row> checked(Dataset<Row> rows, LogParts parts, Judgement judgement) {
    RowChecks checks = new RowChecks(parts, judgement);
    checks.rules.addAll(judgement.rules());
    checks.addTextRules();
    checks.addIdRules();
    checks.addTimeRules();
    return checks
        .withForms(rows)
        .withColumn("problem", checks.rules.problem())
        .withColumn("reason", SETTLED.apply(col("problem.reason")))
        .withColumn("detail", col("problem.detail"));
  }

  private Dataset<Row> withForms(Dataset<Row> rows) {
    Dataset<Row> forms = rows.withColumn("prompt_form", form(col("prompt")));
    return judgement.isComparison()
        ? forms
            .withColumn("response_a_form", form(col("response_a")))
            .withColumn("response_b_form", form(col("response_b")))
        : forms.withColumn(
            "candidate_forms", transform(col("candidates"), c -> form(c.getField("response"))));
  }

  private Column form(Column text) {
    return TextForm.of(text, maxCharacters);
  }

  private void addTextRules() {
    Column prompt = col("prompt_form");
    rules
        .add(QuarantineReason.BLANK_PROMPT, prompt.equalTo(TextForm.BLANK))
        .add(QuarantineReason.INVALID_UNICODE, prompt.equalTo(TextForm.INVALID), lit("prompt"))
        .add(QuarantineReason.OVERLONG_TEXT, prompt.equalTo(TextForm.OVERLONG), lit("prompt"));
    addResponseRule(QuarantineReason.BLANK_RESPONSE, TextForm.BLANK);
    addResponseRule(QuarantineReason.INVALID_UNICODE, TextForm.INVALID);
    addResponseRule(QuarantineReason.OVERLONG_TEXT, TextForm.OVERLONG);
    if (judgement.isComparison()) {
      rules.add(
          QuarantineReason.IDENTICAL_RESPONSES,
          NormalizedText.identity(col("response_a"), col("response_a_form"))
              .equalTo(NormalizedText.identity(col("response_b"), col("response_b_form"))));
    } else if (judgement.kind().equals(Judgement.RANKING)) {
      Column texts =
          transform(col("candidates"), c -> NormalizedText.identity(c.getField("response")));
      rules.add(QuarantineReason.IDENTICAL_RESPONSES, size(array_distinct(texts)).equalTo(1));
    }
  }

  private void addResponseRule(QuarantineReason reason, int form) {
    if (judgement.isComparison()) {
      Column first = col("response_a_form").equalTo(form);
      rules.add(
          reason,
          first.or(col("response_b_form").equalTo(form)),
          when(first, "response_a").otherwise("response_b"));
    } else {
      rules.add(
          reason,
          array_contains(CANDIDATE_FORMS, form),
          concat(lit("response "), array_position(CANDIDATE_FORMS, form)));
    }
  }

  private void addIdRules() {
    Column ids =
        concat_ws("\n", col("feedback_id"), col("annotator_id"), col("group_key"), col("source"));
    rules.add(
        QuarantineReason.INVALID_UNICODE,
        NormalizedText.isValid(ids).equalTo(false),
        lit("feedback_id, annotator_id, group_key or source"));
    if (parts.has(LogPart.GROUP)) {
      rules.add(QuarantineReason.MISSING_GROUP, isBlank(col("group_key")));
    }
    if (parts.has(LogPart.ID)) {
      rules.add(QuarantineReason.MISSING_FEEDBACK_ID, isBlank(parts.plain(LogPart.ID)));
    }
  }

  private void addTimeRules() {
    addTimeRule(LogPart.STARTED_AT, QuarantineReason.INVALID_STARTED_AT);
    addTimeRule(LogPart.CREATED_AT, QuarantineReason.INVALID_CREATED_AT);
    if (parts.has(LogPart.CREATED_AT)) {
      rules.add(
          QuarantineReason.FUTURE_CREATED_AT,
          col("created_at").gt(col(LogParts.WRITTEN_AT).plus(expr("INTERVAL 1 DAY"))),
          col("created_at"));
    }
  }

  private void addTimeRule(LogPart part, QuarantineReason reason) {
    if (parts.has(part) && parts.isText(part)) {
      Column text = parts.column(part);
      rules.add(reason, text.isNotNull().and(parts.time(part).isNull()), text);
    }
  }

  private static Column isBlank(Column text) {
    return TextForm.of(text, Integer.MAX_VALUE).equalTo(TextForm.BLANK);
  }
}
