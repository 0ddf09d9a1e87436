package io.github.sparkrlhf.ppo;

import io.github.sparkrlhf.training.Example;

/**
 * A pair of responses to one prompt to learn from. The reference's arrays have one entry per token
 * of the response, and are null before its forward pass.
 *
 * @param id the pair's id
 * @param promptLength tokens of the prompt, with which both sequences begin
 * @param chosen tokens of the prompt and the response that people prefer
 * @param rejected tokens of the prompt and the other response
 * @param probability that {@code chosen} is the better one, a tie counting half
 * @param chosenReference log π_ref(y_t) of the chosen response, nats
 * @param rejectedReference log π_ref(y_t) of the rejected response, nats
 */
record DpoExample(
    String id,
    int promptLength,
    int[] chosen,
    int[] rejected,
    double probability,
    float[] chosenReference,
    float[] rejectedReference)
    implements Example {
  private static final long serialVersionUID = 1L;

  /** A pair that the reference has not seen yet. */
  DpoExample(String id, int promptLength, int[] chosen, int[] rejected, double probability) {
    this(id, promptLength, chosen, rejected, probability, null, null);
  }

  DpoExample withReference(float[] ofChosen, float[] ofRejected) {
    return new DpoExample(id, promptLength, chosen, rejected, probability, ofChosen, ofRejected);
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
