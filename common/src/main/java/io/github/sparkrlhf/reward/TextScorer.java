package io.github.sparkrlhf.reward;

import java.io.Serializable;

/** A reward model as a function of one row's texts, which runs on executors. */
@FunctionalInterface
public interface TextScorer extends Serializable {
  /**
   * The reward of one response; for a transformer it can differ from that of a bulk scoring in the
   * last bits.
   */
  double score(String prompt, String response);
}
