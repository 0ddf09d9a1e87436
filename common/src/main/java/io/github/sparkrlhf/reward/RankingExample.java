package io.github.sparkrlhf.reward;

import io.github.sparkrlhf.training.Example;
import java.util.Arrays;

/**
 * Responses to one prompt as a person ranked them.
 *
 * @param id unique
 * @param responses the tokens of prompt and response of each, the best first
 * @param groups for each the place of the first one that is as good: 0, 0, 2 if the first two are
 *     equally good and the third is worse
 */
public record RankingExample(String id, int[][] responses, int[] groups) implements Example {
  private static final long serialVersionUID = 1L;

  @Override
  public int length() {
    return Arrays.stream(responses).mapToInt(sequence -> sequence.length).max().orElse(0);
  }

  @Override
  public int tokenCount() {
    return Arrays.stream(responses).mapToInt(sequence -> sequence.length).sum();
  }

  @Override
  public int sequences() {
    return responses.length;
  }
}
