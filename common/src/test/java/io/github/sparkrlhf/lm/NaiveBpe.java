package io.github.sparkrlhf.lm;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;

/** Byte-pair encoding of ASCII words as the definition says it, with a recount for each merge. */
final class NaiveBpe {
  private NaiveBpe() {}

  static List<String> learn(Map<String, Long> counts, int newTokens) {
    Map<List<String>, Long> words = new TreeMap<>(Comparator.comparing(Object::toString));
    counts.forEach((word, count) -> words.put(List.of(word.split("(?<=.)")), count));
    Set<String> tokens = new HashSet<>();
    List<String> merges = new ArrayList<>();
    while (tokens.size() < newTokens) {
      List<String> best = mostFrequent(words);
      if (best == null) {
        break;
      }
      merges.add(String.join("+", best));
      tokens.add(String.join("", best));
      Map<List<String>, Long> before = Map.copyOf(words);
      words.clear();
      before.forEach((word, count) -> words.merge(merged(word, best), count, Long::sum));
    }
    return merges;
  }

  private static List<String> mostFrequent(Map<List<String>, Long> words) {
    Map<List<String>, Long> pairs =
        new TreeMap<>(
            Comparator.comparing((List<String> p) -> p.get(0)).thenComparing(p -> p.get(1)));
    words.forEach(
        (word, count) -> {
          for (int i = 0; i + 1 < word.size(); i++) {
            pairs.merge(List.of(word.get(i), word.get(i + 1)), count, Long::sum);
          }
        });
    List<String> best = null;
    for (Map.Entry<List<String>, Long> pair : pairs.entrySet()) {
      if (pair.getValue() >= 2 && (best == null || pair.getValue() > pairs.get(best))) {
        best = pair.getKey();
      }
    }
    return best;
  }

  private static List<String> merged(List<String> word, List<String> pair) {
    List<String> result = new ArrayList<>();
    for (int i = 0; i < word.size(); i++) {
      if (i + 1 < word.size() && word.subList(i, i + 2).equals(pair)) {
        result.add(word.get(i) + word.get(i + 1));
        i++;
      } else {
        result.add(word.get(i));
      }
    }
    return result;
  }
}
