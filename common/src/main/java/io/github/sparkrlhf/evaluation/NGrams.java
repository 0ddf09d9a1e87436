package io.github.sparkrlhf.evaluation;

import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** Runs of tokens and how often they occur. */
final class NGrams {
  private NGrams() {}

  /** Each run of n tokens with its count. */
  static Map<List<String>, Integer> counts(List<String> tokens, int n) {
    Map<List<String>, Integer> counts = new HashMap<>();
    for (int i = 0; i + n <= tokens.size(); i++) {
      counts.merge(List.copyOf(tokens.subList(i, i + n)), 1, Integer::sum);
    }
    return counts;
  }
}
