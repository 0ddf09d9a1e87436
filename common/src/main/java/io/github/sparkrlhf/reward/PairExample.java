package io.github.sparkrlhf.reward;

import io.github.sparkrlhf.training.Example;

/**
 * A pair of responses to one prompt, as token ids of prompt and response together.
 *
 * @param id the pair's id
 * @param chosen tokens of the prompt and the response that people prefer
 * @param rejected tokens of the prompt and the other response
 * @param probability that {@code chosen} is the better one, in [0.5, 1], a tie counting half
 * @param tie probability that people call both equally good; only a loss with a {@link TieModel}
 *     tells it from disagreement
 * @param margin by which the score of {@code chosen} should exceed the other; at least 0
 */
public record PairExample(
    String id, int[] chosen, int[] rejected, double probability, double tie, double margin)
    implements Example {
  private static final long serialVersionUID = 1L;

  /** A pair whose ties are disagreement. */
  public PairExample(String id, int[] chosen, int[] rejected, double probability, double margin) {
    this(id, chosen, rejected, probability, 0, margin);
  }

  @Override
  public int length() {
    return Math.max(chosen.length, rejected.length);
  }

  @Override
  public int tokenCount() {
    return chosen.length + rejected.length;
  }

  @Override
  public int sequences() {
    return 2;
  }
}
