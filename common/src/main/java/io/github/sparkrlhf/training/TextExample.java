package io.github.sparkrlhf.training;

import java.util.Arrays;

/**
 * A sequence of tokens of which some are to be learned.
 *
 * @param id stable and unique in the training set
 * @param tokens at least two; the first one is not predicted, as nothing stands before it
 * @param learned as long as the tokens: those that carry the loss. The first does not, the last
 *     does: what follows it would be computed in vain
 */
public record TextExample(String id, int[] tokens, boolean[] learned) implements Example {
  private static final long serialVersionUID = 1L;

  /** Checks that the last token is learned, and the first is not. */
  public TextExample {
    if (learned.length != tokens.length || tokens.length < 2) {
      throw new IllegalArgumentException(
          id + " has " + tokens.length + " tokens and " + learned.length + " marks");
    }
    if (learned[0] || !learned[tokens.length - 1]) {
      throw new IllegalArgumentException(id + " must learn its last token, and not its first");
    }
  }

  /**
   * A prompt and the response to learn.
   *
   * @param prompt at least one token, the beginning-of-text token
   * @param response at least one token
   */
  public TextExample(String id, int[] prompt, int[] response) {
    this(id, concatenated(prompt, response), after(prompt.length, response.length));
  }

  @Override
  public int length() {
    return tokens.length;
  }

  /** One array after the other. */
  public static int[] concatenated(int[] first, int[] second) {
    int[] sequence = Arrays.copyOf(first, first.length + second.length);
    System.arraycopy(second, 0, sequence, first.length, second.length);
    return sequence;
  }

  private static boolean[] after(int skipped, int count) {
    boolean[] marks = new boolean[skipped + count];
    Arrays.fill(marks, skipped, marks.length, true);
    return marks;
  }
}
