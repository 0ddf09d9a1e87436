package io.github.sparkrlhf.feedback;

import java.util.Locale;

/**
 * Why a row of feedback cannot be used. A row has one reason: the first that applies, in this
 * order.
 */
public enum QuarantineReason {
  /** The prompt is null, empty, or white space. */
  BLANK_PROMPT,
  /** One of the responses is null, empty, or white space. */
  BLANK_RESPONSE,
  /** Both responses are the same text: there is nothing to prefer. */
  IDENTICAL_RESPONSES,
  /** The choice is null or blank. */
  MISSING_CHOICE,
  /** The choice is none of {@code a}, {@code b}, {@code tie}. */
  UNKNOWN_CHOICE,
  /** The log has strengths, but this one is null though decided, negative, or not a number. */
  INVALID_MARGIN,
  /** The time is a text that is no time. */
  INVALID_CREATED_AT,
  /** The group is null or blank: the row would belong to no split. */
  MISSING_GROUP,
  /** The log has ids, but this one is null or blank. */
  MISSING_FEEDBACK_ID,
  /** The same vote stands in the input more often than once; one copy is kept. */
  DUPLICATE_FEEDBACK_ID,
  /** Different votes carry the same id; which is right cannot be known, so none is kept. */
  CONFLICTING_FEEDBACK_ID,
  /** Votes on the same pair lie in different groups: the pair would lie in two splits. */
  CONFLICTING_GROUP;

  /** The code in the column {@code reason}. */
  public String code() {
    return name().toLowerCase(Locale.ROOT);
  }
}
