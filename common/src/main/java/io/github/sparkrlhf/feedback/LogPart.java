package io.github.sparkrlhf.feedback;

import java.util.Locale;

/** A part of what a row of a log says; each is a Spark SQL expression over the log's columns. */
public enum LogPart {
  /** What the responses answer: a text, or a conversation as a list of role and content. */
  PROMPT,
  /** The first response of a comparison: a text, or a conversation that ends with it. */
  RESPONSE_A,
  /** The second response of a comparison. */
  RESPONSE_B,
  /** Which response is better: {@code a}, {@code b}, {@code tie}, or a number on a scale. */
  CHOICE,
  /** Strength of the choice, a number of at least 0. */
  MARGIN,
  /** The response that was judged on its own. */
  RESPONSE,
  /** How good the response is: a number, higher is better; a list of numbers for a ranking. */
  RATING,
  /** Whether the response was accepted. */
  LABEL,
  /** The responses of a ranking, a list of texts. */
  RESPONSES,
  /** Their ranks, a list of numbers; 1 is the best, equal ranks are a tie. */
  RANKS,
  /** The better response: a text, or a conversation that ends with it. */
  CHOSEN,
  /** The worse response. */
  REJECTED,
  /** Which of the two stood first before the annotator: {@code chosen} or {@code rejected}. */
  SHOWN_FIRST,
  /** Who judged. */
  ANNOTATOR("annotator_id"),
  /** When they began. */
  STARTED_AT,
  /** When they had judged. */
  CREATED_AT,
  /** What splits must not tear apart. */
  GROUP("group_key"),
  /** The id of the judgement. */
  ID("feedback_id"),
  /** The name of the log that the row comes from. */
  SOURCE;

  private final String column;

  LogPart() {
    this.column = name().toLowerCase(Locale.ROOT);
  }

  LogPart(String column) {
    this.column = column;
  }

  /** The column that holds the part unless an expression or a layout says otherwise. */
  public String column() {
    return column;
  }

  /** The option that gives its expression, such as {@code --response-a}. */
  public String option() {
    return "--" + name().toLowerCase(Locale.ROOT).replace('_', '-');
  }
}
