package io.github.sparkrlhf.feedback;

import static org.apache.spark.sql.functions.lit;

import org.apache.spark.sql.Column;

/**
 * What the rows of a layout say, as columns over {@link LogParts#rows}.
 *
 * @param kind {@code comparison}, {@code rating}, {@code binary} or {@code ranking}
 * @param prompt STRING
 * @param messages the prompt's turns, {@link Conversation}; null if it is no conversation
 * @param responseA STRING, of a comparison
 * @param responseB STRING, of a comparison
 * @param choice {@code a}, {@code b}, {@code tie}, of a comparison
 * @param margin strength of the choice, DOUBLE, of a comparison
 * @param candidates ARRAY&lt;STRUCT&lt;response, rating&gt;&gt;, of the other kinds
 * @param rules what else makes a row unusable
 */
record Judgement(
    String kind,
    Column prompt,
    Column messages,
    Column responseA,
    Column responseB,
    Column choice,
    Column margin,
    Column candidates,
    RowRules rules) {
  static final String COMPARISON = "comparison";
  static final String RATING = "rating";
  static final String BINARY = "binary";
  static final String RANKING = "ranking";

  /** The type of {@code candidates}, as DDL. */
  static final String CANDIDATES = "ARRAY<STRUCT<response: STRING, rating: DOUBLE>>";

  /** A prompt as text and, if it was one, as conversation. */
  record Prompt(Column text, Column messages) {}

  static Judgement comparison(
      Prompt prompt, Column a, Column b, Column choice, Column margin, RowRules rules) {
    return new Judgement(
        COMPARISON,
        prompt.text(),
        prompt.messages(),
        a,
        b,
        choice,
        margin.cast("double"),
        lit(null).cast(CANDIDATES),
        rules);
  }

  static Judgement ofCandidates(String kind, Prompt prompt, Column candidates, RowRules rules) {
    Column none = lit(null).cast("string");
    return new Judgement(
        kind,
        prompt.text(),
        prompt.messages(),
        none,
        none,
        none,
        lit(null).cast("double"),
        candidates.cast(CANDIDATES),
        rules);
  }

  boolean isComparison() {
    return kind.equals(COMPARISON);
  }
}
