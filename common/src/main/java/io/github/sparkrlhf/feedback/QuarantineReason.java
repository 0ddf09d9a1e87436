package io.github.sparkrlhf.feedback;

import java.util.Locale;

/**
 * Why a row of feedback cannot be used. A row has one reason: the first that applies, in this
 * order.
 */
public enum QuarantineReason {
  /**
   * A transcript does not begin with a speaker, a conversation lacks a role or a content, the
   * response is not the assistant's, or the two sides have different prompts.
   */
  UNPARSABLE_TRANSCRIPT,
  /**
   * A ranking of fewer than two responses, with another number of ranks than of responses, or with
   * a rank that is null or outside of 1 to the number of responses.
   */
  INVALID_RANKING,
  /** The prompt is null, empty, or white space. */
  BLANK_PROMPT,
  /** One of the responses is null, empty, or white space. */
  BLANK_RESPONSE,
  /** A prompt, a response or an id is not UTF-8. */
  INVALID_UNICODE,
  /** A prompt or a response is longer than the limit. */
  OVERLONG_TEXT,
  /** All responses are the same text: there is nothing to prefer. */
  IDENTICAL_RESPONSES,
  /** The choice is null or blank. */
  MISSING_CHOICE,
  /** The choice is none of {@code a}, {@code b}, {@code tie}. */
  UNKNOWN_CHOICE,
  /** The choice is a number outside of the scale, or not a number. */
  CHOICE_OUT_OF_RANGE,
  /** A rating is null, infinite, or not a number. */
  INVALID_RATING,
  /** A rating is outside of the scale. */
  RATING_OUT_OF_RANGE,
  /** The label is null or means neither accepted nor rejected. */
  INVALID_LABEL,
  /** The log has strengths, but this one is null though decided, negative, or not a number. */
  INVALID_MARGIN,
  /** The time of the beginning is a text that is no time. */
  INVALID_STARTED_AT,
  /** The time is a text that is no time. */
  INVALID_CREATED_AT,
  /** The time is more than a day later than the file was written. */
  FUTURE_CREATED_AT,
  /** The group is null or blank: the row would belong to no split. */
  MISSING_GROUP,
  /** The log has ids, but this one is null or blank. */
  MISSING_FEEDBACK_ID,
  /** The same vote stands in the input more often than once; one copy is kept. */
  DUPLICATE_FEEDBACK_ID,
  /** Different votes carry the same id; which is right cannot be known, so none is kept. */
  CONFLICTING_FEEDBACK_ID;

  /** The code in the column {@code reason}. */
  public String code() {
    return name().toLowerCase(Locale.ROOT);
  }
}
