package io.github.sparkrlhf.reward;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.SortedMap;
import java.util.TreeMap;

/**
 * Part of a split over which a model is measured.
 *
 * @param slice by what the split is cut
 * @param value which of the parts
 */
record EvaluationSlice(String slice, String value) implements Comparable<EvaluationSlice> {
  /** The whole split. */
  static final EvaluationSlice ALL = new EvaluationSlice("all", "all");

  static final String GROUP = "group";

  /** Groups with fewer pairs say too little, and there may be as many as prompts. */
  static final int FEWEST_PAIRS = 30;

  /** The groups with the most pairs are measured. */
  static final int MOST_GROUPS = 50;

  private static final Comparator<EvaluationSlice> ORDER =
      Comparator.comparing(EvaluationSlice::slice).thenComparing(EvaluationSlice::value);

  @Override
  public int compareTo(EvaluationSlice other) {
    return ORDER.compare(this, other);
  }

  /** The pairs of one split by slice; each pair lies in one part of every slice that it knows. */
  static SortedMap<EvaluationSlice, List<PairOutcome>> of(List<PairOutcome> pairs) {
    Set<String> groups = measuredGroups(pairs);
    SortedMap<EvaluationSlice, List<PairOutcome>> slices = new TreeMap<>();
    for (PairOutcome pair : pairs) {
      for (EvaluationSlice slice : slicesOf(pair)) {
        if (!slice.slice().equals(GROUP) || groups.contains(slice.value())) {
          slices.computeIfAbsent(slice, s -> new ArrayList<>()).add(pair);
        }
      }
    }
    return slices;
  }

  private static List<EvaluationSlice> slicesOf(PairOutcome pair) {
    List<EvaluationSlice> slices = new ArrayList<>();
    slices.add(ALL);
    slices.add(new EvaluationSlice("length_gap", lengthGap(pair)));
    add(slices, "source", pair.source());
    add(slices, GROUP, pair.group());
    add(slices, "feedback_kind", pair.feedbackKind());
    add(slices, "agreement", pair.hasVotes() ? agreement(pair) : null);
    return slices;
  }

  private static void add(List<EvaluationSlice> slices, String slice, String value) {
    if (value != null) {
      slices.add(new EvaluationSlice(slice, value));
    }
  }

  /** By how much of the longer text the better response is longer or shorter. */
  static String lengthGap(PairOutcome pair) {
    int longer = Math.max(pair.chosenLength(), pair.rejectedLength());
    double gap = longer == 0 ? 0 : (double) pair.length() / longer;
    if (gap == 0) {
      return "chosen as long";
    }
    return (gap > 0 ? "chosen longer" : "chosen shorter")
        + (Math.abs(gap) > 0.25 ? " by over 25 %" : " by up to 25 %");
  }

  /** How far the votes for one or the other agree. */
  static String agreement(PairOutcome pair) {
    long votes = pair.votesFor() + pair.votesAgainst();
    long majority = Math.max(pair.votesFor(), pair.votesAgainst());
    if (votes == 1) {
      return "one vote";
    }
    if (majority == votes) {
      return "unanimous";
    }
    return 4 * majority >= 3 * votes ? "at least 3 of 4" : "less than 3 of 4";
  }

  private static Set<String> measuredGroups(List<PairOutcome> pairs) {
    Map<String, Integer> sizes = new HashMap<>();
    pairs.stream()
        .map(PairOutcome::group)
        .filter(group -> group != null)
        .forEach(group -> sizes.merge(group, 1, Integer::sum));
    return new HashSet<>(
        sizes.entrySet().stream()
            .filter(group -> group.getValue() >= FEWEST_PAIRS)
            .sorted(
                Map.Entry.<String, Integer>comparingByValue()
                    .reversed()
                    .thenComparing(Map.Entry.comparingByKey()))
            .limit(MOST_GROUPS)
            .map(Map.Entry::getKey)
            .toList());
  }
}
