package io.github.sparkrlhf.feedback;

import java.util.Locale;

/** What the votes on a pair come to. */
public enum ReliabilityMethod {
  /** What {@link Reliability} makes of them: votes count by what is known of who gave them. */
  DAWID_SKENE,
  /** What {@link CrowdBradleyTerry} makes of them: a response has one score in all its pairs. */
  CROWD_BT,
  /** Their shares: each vote counts the same. */
  VOTES;

  /** The name on the command line, such as {@code dawid-skene}. */
  @Override
  public String toString() {
    return name().toLowerCase(Locale.ROOT).replace('_', '-');
  }
}
