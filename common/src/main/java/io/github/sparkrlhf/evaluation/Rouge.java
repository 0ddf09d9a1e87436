package io.github.sparkrlhf.evaluation;

import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * ROUGE (Lin, 2004) as F1, without stemming: tokens are runs of the letters a to z and digits, in
 * lower case, as in Google's rouge-score.
 */
public final class Rouge {
  private Rouge() {}

  static List<String> tokens(String text) {
    return Arrays.stream(text.toLowerCase(Locale.ROOT).split("[^a-z0-9]+", -1))
        .filter(token -> !token.isEmpty())
        .toList();
  }

  /** ROUGE-N: how many runs of n tokens both have. */
  public static double ofRuns(int n, String hypothesis, String reference) {
    Map<List<String>, Integer> left = NGrams.counts(tokens(hypothesis), n);
    Map<List<String>, Integer> right = NGrams.counts(tokens(reference), n);
    double both = 0;
    for (Map.Entry<List<String>, Integer> entry : left.entrySet()) {
      both += Math.min(entry.getValue(), right.getOrDefault(entry.getKey(), 0));
    }
    return f1(both, sum(left), sum(right));
  }

  /** ROUGE-L: the longest common subsequence of tokens. */
  public static double ofLongestCommonSubsequence(String hypothesis, String reference) {
    List<String> left = tokens(hypothesis);
    List<String> right = tokens(reference);
    int[] row = new int[right.size() + 1];
    for (String token : left) {
      int diagonal = 0;
      for (int j = 1; j <= right.size(); j++) {
        int above = row[j];
        row[j] = token.equals(right.get(j - 1)) ? diagonal + 1 : Math.max(row[j], row[j - 1]);
        diagonal = above;
      }
    }
    return f1(row[right.size()], left.size(), right.size());
  }

  private static double sum(Map<List<String>, Integer> counts) {
    return counts.values().stream().mapToInt(Integer::intValue).sum();
  }

  private static double f1(double both, double left, double right) {
    return both == 0 ? 0 : 2 * both / (left + right);
  }
}
