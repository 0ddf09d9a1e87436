package io.github.sparkrlhf.evaluation;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;

/**
 * BLEU (Papineni et al., 2002) with up to four tokens, case, the tokens of mteval-v13a and
 * exponential smoothing: what sacreBLEU (Post, 2018) computes by default, as a share of 1.
 */
public final class Bleu {
  private static final int ORDERS = 4;

  private static final Pattern PUNCTUATION =
      Pattern.compile("([\\{-\\~\\[-\\` -\\&\\(-\\+\\:-\\@\\/])");
  private static final Pattern POINT_AFTER_OTHER = Pattern.compile("([^0-9])([\\.,])");
  private static final Pattern POINT_BEFORE_OTHER = Pattern.compile("([\\.,])([^0-9])");
  private static final Pattern DASH_AFTER_DIGIT = Pattern.compile("([0-9])(-)");

  /** What adds up over the segments of a corpus. */
  private static final class Sums {
    private final long[] correct = new long[ORDERS];
    private final long[] total = new long[ORDERS];
    private long length;
    private long referenceLength;
  }

  private Bleu() {}

  /** The tokens of mteval-v13a. */
  static List<String> tokens(String text) {
    String line = text.replace("<skipped>", "").replace("-\n", "").replace('\n', ' ');
    line = line.replace("&quot;", "\"").replace("&amp;", "&").replace("&lt;", "<");
    line = " " + line.replace("&gt;", ">") + " ";
    line = PUNCTUATION.matcher(line).replaceAll(" $1 ");
    line = POINT_AFTER_OTHER.matcher(line).replaceAll("$1 $2 ");
    line = POINT_BEFORE_OTHER.matcher(line).replaceAll(" $1 $2");
    line = DASH_AFTER_DIGIT.matcher(line).replaceAll("$1 $2 ");
    return Arrays.stream(line.split("\\s+", -1)).filter(token -> !token.isEmpty()).toList();
  }

  /**
   * BLEU of a corpus with one reference each.
   *
   * @param hypotheses as many as references
   */
  public static double corpus(List<String> hypotheses, List<String> references) {
    Sums sums = new Sums();
    for (int i = 0; i < hypotheses.size(); i++) {
      List<String> hypothesis = tokens(hypotheses.get(i));
      List<String> reference = tokens(references.get(i));
      for (int n = 1; n <= ORDERS; n++) {
        Map<List<String>, Integer> allowed = NGrams.counts(reference, n);
        add(sums, n, hypothesis, gram -> allowed.getOrDefault(gram, 0));
      }
      sums.length += hypothesis.size();
      sums.referenceLength += reference.size();
    }
    return score(sums, false);
  }

  /**
   * Self-BLEU (Zhu et al., 2018): the mean over texts of the sentence BLEU of each against all
   * others as its references. 1 if all are the same; NaN for fewer than two.
   */
  public static double self(List<String> texts) {
    if (texts.size() < 2) {
      return Double.NaN;
    }
    List<List<String>> all = texts.stream().map(Bleu::tokens).toList();
    List<Map<List<String>, Greatest>> greatest = new ArrayList<>();
    for (int n = 1; n <= ORDERS; n++) {
      greatest.add(greatest(all, n));
    }
    double sum = 0;
    for (int i = 0; i < all.size(); i++) {
      int text = i;
      Sums sums = new Sums();
      for (int n = 1; n <= ORDERS; n++) {
        Map<List<String>, Greatest> counts = greatest.get(n - 1);
        add(sums, n, all.get(i), gram -> counts.get(gram).without(text));
      }
      sums.length = all.get(i).size();
      sums.referenceLength = closest(all, i);
      sum += score(sums, true);
    }
    return sum / all.size();
  }

  /** The two greatest counts of a run over all texts, and which text has the greatest. */
  private static final class Greatest {
    private int first;
    private int second;
    private int text;

    private void add(int count, int ofText) {
      if (count > first) {
        second = first;
        first = count;
        text = ofText;
      } else {
        second = Math.max(second, count);
      }
    }

    private int without(int ofText) {
      return ofText == text ? second : first;
    }
  }

  private static Map<List<String>, Greatest> greatest(List<List<String>> texts, int n) {
    Map<List<String>, Greatest> greatest = new HashMap<>();
    for (int i = 0; i < texts.size(); i++) {
      int text = i;
      NGrams.counts(texts.get(i), n)
          .forEach(
              (gram, count) ->
                  greatest.computeIfAbsent(gram, each -> new Greatest()).add(count, text));
    }
    return greatest;
  }

  /** The length of another text that is nearest to that of one, the shorter of two. */
  private static int closest(List<List<String>> texts, int of) {
    int length = texts.get(of).size();
    int closest = -1;
    for (int i = 0; i < texts.size(); i++) {
      int other = texts.get(i).size();
      int difference = Math.abs(other - length) - Math.abs(closest - length);
      if (i != of && (closest < 0 || difference < 0 || (difference == 0 && other < closest))) {
        closest = other;
      }
    }
    return closest;
  }

  private interface Allowed {
    int of(List<String> gram);
  }

  private static void add(Sums sums, int n, List<String> hypothesis, Allowed allowed) {
    NGrams.counts(hypothesis, n)
        .forEach(
            (gram, count) -> {
              sums.correct[n - 1] += Math.min(count, allowed.of(gram));
              sums.total[n - 1] += count;
            });
  }

  /**
   * @param effectiveOrder whether a text that is too short for four tokens is measured by those it
   *     has, as for single sentences
   */
  private static double score(Sums sums, boolean effectiveOrder) {
    if (sums.correct[0] == 0) {
      return 0;
    }
    double smoothing = 1;
    double logarithms = 0;
    int orders = 0;
    while (orders < ORDERS && sums.total[orders] > 0) {
      double matches = sums.correct[orders];
      if (matches == 0) {
        smoothing *= 2;
        matches = 1 / smoothing;
      }
      logarithms += Math.log(matches / sums.total[orders]);
      orders++;
    }
    if (orders < ORDERS && !effectiveOrder) {
      return 0;
    }
    double brevity = Math.min(0, 1 - (double) sums.referenceLength / sums.length);
    return Math.exp(brevity + logarithms / orders);
  }
}
