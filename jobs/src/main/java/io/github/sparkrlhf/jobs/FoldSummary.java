package io.github.sparkrlhf.jobs;

import io.github.sparkrlhf.reward.FoldMetrics;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.apache.spark.sql.Row;

/** The table that a person reads after cross-validation: one line for each candidate. */
final class FoldSummary {
  private static final List<String> HEADER =
      List.of(
          "candidate",
          "accuracy",
          "over pairs",
          "mean",
          "over folds",
          "lift",
          "over folds",
          "log loss",
          "calibrated",
          "ECE",
          "calibrated");

  private FoldSummary() {}

  /**
   * Prints the table.
   *
   * @param rows of the table {@code reward_folds} without run
   * @return the metrics over all folds, by {@code candidate/metric}
   */
  static Map<String, Object> print(JobContext context, List<Row> rows) {
    Map<String, Map<String, Row>> overall = new LinkedHashMap<>();
    Map<String, Object> summary = new LinkedHashMap<>();
    for (Row row : rows) {
      if (row.isNullAt(2)) {
        overall
            .computeIfAbsent(row.getString(0), name -> new LinkedHashMap<>())
            .put(row.getString(3), row);
        summary.put(row.getString(0) + "/" + row.getString(3), row.getDouble(4));
      }
    }
    List<List<String>> lines = new ArrayList<>();
    overall.forEach((name, metrics) -> lines.add(line(name, metrics)));
    TextTable.lines(
            HEADER,
            lines,
            List.of(false, true, false, true, false, true, false, true, true, true, true))
        .forEach(context.out()::println);
    return summary;
  }

  private static List<String> line(String name, Map<String, Row> metrics) {
    List<String> cells = new ArrayList<>(List.of(name));
    for (String metric :
        List.of(FoldMetrics.ACCURACY, FoldMetrics.MEAN_FOLD_ACCURACY, FoldMetrics.LIFT)) {
      Row row = metrics.get(metric);
      cells.add(number(row, 4));
      cells.add(row == null ? "" : number(row, 5) + " to " + number(row, 6));
    }
    for (String metric : List.of(FoldMetrics.LOG_LOSS, FoldMetrics.ECE)) {
      cells.add(number(metrics.get(metric), 4));
      cells.add(number(metrics.get(metric + FoldMetrics.CALIBRATED), 4));
    }
    return cells;
  }

  private static String number(Row row, int column) {
    return row == null ? "" : String.format(Locale.ROOT, "%.4f", row.getDouble(column));
  }
}
