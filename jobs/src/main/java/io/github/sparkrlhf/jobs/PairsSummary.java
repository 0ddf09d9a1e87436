package io.github.sparkrlhf.jobs;

import static org.apache.spark.sql.functions.col;

import io.github.sparkrlhf.feedback.Feedback.ReasonCount;
import io.github.sparkrlhf.tables.Run;
import io.github.sparkrlhf.tables.Table;
import java.io.PrintStream;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Collectors;
import org.apache.spark.sql.Row;

/**
 * What a run of {@code pairs} came to.
 *
 * @param rows rows in all inputs
 * @param reasons the rows in quarantine by reason
 * @param comparisons comparisons of two responses
 * @param ratings judgements of single responses, from which comparisons may have been made
 * @param pairs distinct pairs
 * @param annotators people that are known by an id
 * @param spam those among them whose votes should not be trusted
 * @param alpha Krippendorff's α of the comparisons with the ends of its interval; null if undefined
 * @param splits what lies in each split
 */
record PairsSummary(
    long rows,
    List<ReasonCount> reasons,
    long comparisons,
    long ratings,
    long pairs,
    long annotators,
    long spam,
    List<Double> alpha,
    List<SplitCount> splits) {

  /** How much lies in a split, the share of groups it should have, and what is in another too. */
  record SplitCount(
      String split, double share, long groups, long pairs, long comparisons, long shared) {}

  /** Reads the summary from the tables of the run. */
  static PairsSummary of(Run run, long rows, List<ReasonCount> reasons) {
    return new PairsSummary(
        rows,
        reasons,
        run.rows(Table.COMPARISONS).count(),
        run.rows(Table.RATINGS).count(),
        run.rows(Table.PAIRS).count(),
        run.rows(Table.ANNOTATORS).count(),
        run.rows(Table.ANNOTATORS).where("spam").count(),
        alpha(run),
        splits(run));
  }

  private static List<Double> alpha(Run run) {
    return run
        .rows(Table.AGREEMENT)
        .where("source = 'all' AND kind = 'comparison' AND metric = 'krippendorff_alpha_nominal'")
        .where("value IS NOT NULL AND low IS NOT NULL")
        .select("value", "low", "high")
        .collectAsList()
        .stream()
        .map(row -> List.of(row.getDouble(0), row.getDouble(1), row.getDouble(2)))
        .findFirst()
        .orElse(null);
  }

  private static List<SplitCount> splits(Run run) {
    return run
        .rows(Table.SPLITS)
        .select(
            col("split"),
            col("share"),
            col("groups"),
            col("pairs"),
            col("comparisons"),
            col("shared_groups")
                .plus(col("shared_prompts"))
                .plus(col("shared_near_duplicates"))
                .plus(col("shared_pairs")))
        .collectAsList()
        .stream()
        .map(PairsSummary::splitCount)
        .sorted((a, b) -> Double.compare(b.share(), a.share()))
        .toList();
  }

  private static SplitCount splitCount(Row row) {
    return new SplitCount(
        row.getString(0),
        row.getDouble(1),
        row.getLong(2),
        row.getLong(3),
        row.getLong(4),
        row.getLong(5));
  }

  long quarantine() {
    return reasons.stream().mapToLong(ReasonCount::rows).sum();
  }

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
    Map<String, Object> summary = new TreeMap<>();
    summary.put("rows", rows);
    summary.put("comparisons", comparisons);
    summary.put("ratings", ratings);
    summary.put("quarantine", quarantine());
    summary.put("quarantine_reasons", byReason);
    summary.put("pairs", pairs);
    summary.put("annotators", annotators);
    summary.put("spam", spam);
    summary.put("splits", bySplit);
    return summary;
  }

  void print(PrintStream out) {
    print(out, "%,d rows: %,d used, %,d in quarantine%n", rows, rows - quarantine(), quarantine());
    for (ReasonCount count : reasons) {
      print(out, "  %s: %,d%n", count.reason(), count.rows());
    }
    if (ratings > 0) {
      print(out, "%,d ratings%n", ratings);
    }
    print(out, "%,d comparisons of %,d pairs%n", comparisons, pairs);
    if (annotators > 0) {
      print(out, "  %,d annotators, %,d not to be trusted%n", annotators, spam);
    }
    if (alpha != null) {
      print(
          out,
          "  agreement: Krippendorff's alpha %.3f (%.3f to %.3f)%n",
          alpha.get(0),
          alpha.get(1),
          alpha.get(2));
    }
    for (SplitCount split : splits) {
      print(
          out,
          "  %s: %,d pairs, %,d comparisons in %,d groups, %,d shared with another split%n",
          split.split(),
          split.pairs(),
          split.comparisons(),
          split.groups(),
          split.shared());
      if (split.share() > 0 && split.groups() == 0) {
        out.println("  Warning: no group fell into " + split.split() + "; try another --seed");
      }
    }
  }

  private static void print(PrintStream out, String format, Object... values) {
    out.printf(Locale.ROOT, format, values);
  }
}
