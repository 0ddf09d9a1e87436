package io.github.sparkrlhf.jobs;

import io.github.sparkrlhf.feedback.Feedback.ReasonCount;
import java.io.PrintStream;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Collectors;

/**
 * What the job {@code pairs} did.
 *
 * @param rows rows in all inputs
 * @param comparisons rows that could be used
 * @param quarantine rows that could not
 * @param pairs distinct pairs
 * @param reasons the quarantined rows by reason
 * @param splits what lies in each split
 */
record PairsSummary(
    long rows,
    long comparisons,
    long quarantine,
    long pairs,
    List<ReasonCount> reasons,
    List<SplitCount> splits) {

  /** How much lies in a split, and the share of groups it should have. */
  record SplitCount(String split, double share, long pairs, long comparisons, long groups) {}

  /** The summary as it is stored with the run. */
  Map<String, Object> toMap() {
    Map<String, Long> byReason =
        reasons.stream().collect(Collectors.toMap(ReasonCount::reason, ReasonCount::rows));
    Map<String, Object> bySplit = new TreeMap<>();
    for (SplitCount split : splits) {
      bySplit.put(
          split.split(),
          Map.of(
              "pairs", split.pairs(),
              "comparisons", split.comparisons(),
              "groups", split.groups()));
    }
    return Map.of(
        "rows", rows,
        "comparisons", comparisons,
        "quarantine", quarantine,
        "pairs", pairs,
        "quarantine_reasons", byReason,
        "splits", bySplit);
  }

  void print(PrintStream out) {
    out.printf(
        Locale.ROOT,
        "%,d rows: %,d comparisons, %,d in quarantine%n",
        rows,
        comparisons,
        quarantine);
    for (ReasonCount count : reasons) {
      out.printf(Locale.ROOT, "  %s: %,d%n", count.reason(), count.rows());
    }
    out.printf(Locale.ROOT, "%,d pairs%n", pairs);
    for (SplitCount split : splits) {
      out.printf(
          Locale.ROOT,
          "  %s: %,d pairs, %,d comparisons in %,d groups%n",
          split.split(),
          split.pairs(),
          split.comparisons(),
          split.groups());
      if (split.share() > 0 && split.groups() == 0) {
        out.println("  Warning: no group fell into " + split.split() + "; try another --seed");
      }
    }
  }
}
