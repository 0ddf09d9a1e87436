package io.github.sparkrlhf.report;

import io.github.sparkrlhf.tables.Table;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.spark.sql.Row;

/** How right kinds of reward models are on folds that they were not trained on. */
final class FoldsSection {
  /** What the best candidate is chosen by. */
  private static final String ACCURACY = "mean_fold_accuracy";

  private static final List<String> METRICS =
      List.of(
          ACCURACY, "lift", "accuracy", "log_loss", "log_loss_calibrated", "ece", "ece_calibrated");

  private FoldsSection() {}

  static List<Section> of(ReportTables tables) {
    List<ShownRun> runs = tables.runsOf(Table.REWARD_FOLDS);
    if (runs.isEmpty()) {
      return List.of();
    }
    List<Section.Figure> figures = new ArrayList<>();
    List<Html> bodies = new ArrayList<>();
    for (ShownRun run : runs) {
      bodies.add(Html.of("h3", run.id()));
      bodies.add(run(tables.of(Table.REWARD_FOLDS, run), figures));
    }
    return List.of(new Section("folds", "Cross-validation", figures, Html.all(bodies)));
  }

  private static Html run(List<Row> rows, List<Section.Figure> figures) {
    Map<String, Map<String, Row>> candidates = new LinkedHashMap<>();
    long folds = rows.stream().map(row -> row.<String>getAs("fold")).distinct().count() - 1;
    for (Row row : rows) {
      if (row.getAs("fold") == null) {
        candidates
            .computeIfAbsent(row.getAs("candidate"), candidate -> new LinkedHashMap<>())
            .put(row.getAs("metric"), row);
      }
    }
    List<List<Html>> lines = new ArrayList<>();
    Row best = null;
    for (Map.Entry<String, Map<String, Row>> candidate : candidates.entrySet()) {
      List<Html> line = new ArrayList<>(List.of(Html.text(candidate.getKey())));
      Row accuracy = candidate.getValue().get(ACCURACY);
      line.add(
          accuracy == null
              ? Html.text("–")
              : Intervals.of(
                  accuracy.getAs("value"), accuracy.getAs("low"), accuracy.getAs("high")));
      METRICS.forEach(metric -> line.add(Html.text(value(candidate.getValue().get(metric)))));
      lines.add(line);
      if (accuracy != null
          && (best == null || accuracy.<Double>getAs("value") > best.<Double>getAs("value"))) {
        best = accuracy;
      }
    }
    if (best != null) {
      figures.add(
          new Section.Figure(
              Numbers.value(best.getAs("value")),
              "mean accuracy of " + best.<String>getAs("candidate") + " on folds held out",
              Numbers.range(best)));
    }
    List<String> header = new ArrayList<>(List.of("candidate", ""));
    METRICS.forEach(metric -> header.add(metric.replace('_', ' ')));
    return Html.table(
        "Candidates on %s folds, each held out once, with 95 %% intervals"
            .formatted(Numbers.count(folds)),
        header,
        METRICS.size(),
        lines);
  }

  private static String value(Row row) {
    return row == null
        ? "–"
        : Numbers.interval(row.getAs("value"), row.getAs("low"), row.getAs("high"));
  }
}
