package io.github.sparkrlhf.feedback;

import java.util.Locale;

/** Which judgements of single responses to the same prompt are compared with each other. */
public enum Pairing {
  /** Those of the same annotator; unknown annotators count as one. */
  ANNOTATOR,
  /** All of them. */
  PROMPT,
  /** None: they stay judgements of single responses. */
  NONE;

  /** The name on the command line. */
  @Override
  public String toString() {
    return name().toLowerCase(Locale.ROOT);
  }
}
