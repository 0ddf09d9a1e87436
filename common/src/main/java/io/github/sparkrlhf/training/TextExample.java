package io.github.sparkrlhf.training;

import java.util.Arrays;

/**
 * A prompt and the response to learn, as token ids.
 *
 * @param id stable and unique in the training set
 * @param prompt at least one token, the beginning-of-text token
 * @param response at least one token; the loss is on these
 */
public record TextExample(String id, int[] prompt, int[] response) implements Example {
  private static final long serialVersionUID = 1L;

  @Override
  public int length() {
    return prompt.length + response.length;
  }

  /** Prompt followed by response. */
  public int[] sequence() {
    return concatenated(prompt, response);
  }

  /** One array after the other. */
  public static int[] concatenated(int[] first, int[] second) {
    int[] sequence = Arrays.copyOf(first, first.length + second.length);
    System.arraycopy(second, 0, sequence, first.length, second.length);
    return sequence;
  }
}
