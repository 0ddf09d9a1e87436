package io.github.sparkrlhf.evaluation;

import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** How much responses repeat themselves and each other. Tokens are those of {@link Bleu}. */
public final class Diversity {
  private static final int REPEATED_RUN = 4;

  private Diversity() {}

  /**
   * distinct-n (Li et al., 2016): distinct runs of n tokens over all runs, of all texts together;
   * NaN if there is none. It falls with the number of texts: compare equal numbers.
   */
  public static double distinct(int n, List<String> texts) {
    Map<List<String>, Integer> all = new HashMap<>();
    for (String text : texts) {
      NGrams.counts(Bleu.tokens(text), n)
          .forEach((gram, count) -> all.merge(gram, count, Integer::sum));
    }
    long total = all.values().stream().mapToLong(Integer::longValue).sum();
    return total == 0 ? Double.NaN : (double) all.size() / total;
  }

  /** The share of a text's runs of four tokens that stand in it before; 0 if it is too short. */
  public static double repetition(String text) {
    Map<List<String>, Integer> runs = NGrams.counts(Bleu.tokens(text), REPEATED_RUN);
    long total = runs.values().stream().mapToLong(Integer::longValue).sum();
    return total == 0 ? 0 : 1 - (double) runs.size() / total;
  }
}
