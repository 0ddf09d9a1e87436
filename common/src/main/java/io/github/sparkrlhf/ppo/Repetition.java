package io.github.sparkrlhf.ppo;

import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.IntStream;

/** How varied responses are, by n-grams of tokens. */
final class Repetition {
  private static final int WITHIN = 4;
  private static final int ACROSS = 2;

  private Repetition() {}

  /**
   * The share of a response's 4-grams that it had before; 0 if it is shorter than 4 tokens.
   *
   * @param tokens of the response
   */
  static double within(int[] tokens) {
    List<List<Integer>> grams = grams(tokens, WITHIN);
    if (grams.isEmpty()) {
      return 0;
    }
    return 1 - new HashSet<>(grams).size() / (double) grams.size();
  }

  /**
   * Distinct-2 (Li et al., 2016) of responses together: their different bigrams over all of their
   * bigrams. Comparable only between equally many responses of similar length.
   *
   * @return NaN if no response has two tokens
   */
  static double distinct(List<int[]> responses) {
    Set<List<Integer>> different = new HashSet<>();
    long all = 0;
    for (int[] response : responses) {
      List<List<Integer>> grams = grams(response, ACROSS);
      different.addAll(grams);
      all += grams.size();
    }
    return different.size() / (double) all;
  }

  private static List<List<Integer>> grams(int[] tokens, int n) {
    return IntStream.rangeClosed(0, tokens.length - n)
        .mapToObj(from -> Arrays.stream(tokens, from, from + n).boxed().toList())
        .toList();
  }
}
