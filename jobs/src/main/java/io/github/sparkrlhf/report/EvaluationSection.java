package io.github.sparkrlhf.report;

import io.github.sparkrlhf.tables.Table;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.spark.sql.Row;

/** How policies do against each other, run by run of {@code evaluate}. */
final class EvaluationSection {
  private static final String ALL = "all";

  private EvaluationSection() {}

  static List<Section> of(ReportTables tables) {
    List<ShownRun> runs = tables.runsOf(Table.EVALUATIONS);
    if (runs.isEmpty()) {
      return List.of();
    }
    List<Section.Figure> figures = new ArrayList<>();
    List<Html> bodies = new ArrayList<>();
    for (ShownRun run : runs) {
      List<Row> rows = tables.of(Table.EVALUATIONS, run);
      bodies.add(
          Html.of(
              "h3",
              "%s, on %s prompts with the hash %s"
                  .formatted(
                      run.id(),
                      Numbers.count(run.count("prompts")),
                      rows.get(0).<String>getAs("prompts"))));
      bodies.add(contests(rows, figures));
      bodies.add(alone(rows));
    }
    return List.of(new Section("evaluation", "Evaluation", figures, Html.all(bodies)));
  }

  private static Html contests(List<Row> rows, List<Section.Figure> figures) {
    List<Row> contests =
        rows.stream()
            .filter(row -> row.getAs("opponent") != null)
            .sorted(
                Comparator.comparing((Row row) -> contest(row))
                    .thenComparing(row -> row.<String>getAs("metric"))
                    .thenComparing(row -> !ALL.equals(row.getAs("slice")))
                    .thenComparing(row -> row.<String>getAs("slice"))
                    .thenComparing(row -> row.<String>getAs("slice_value")))
            .toList();
    if (contests.isEmpty()) {
      return Html.all();
    }
    for (Row row : ReportTables.where(contests, "slice", ALL)) {
      if ("length_controlled_win_rate".equals(row.getAs("metric"))) {
        figures.add(
            new Section.Figure(
                Numbers.value(row.getAs("value")),
                "wins of " + contest(row) + " at equal length",
                Numbers.range(row)));
      }
    }
    return Html.table(
        "Who wins, with 95 % intervals; the mark in the middle is one half",
        List.of("contest", "by", "slice", "", "rate", "interval", "n"),
        3,
        contests.stream()
            .map(
                row ->
                    List.of(
                        Html.text(contest(row)),
                        Html.text(row.<String>getAs("metric").replace('_', ' ')),
                        Html.text(slice(row)),
                        Intervals.of(row.getAs("value"), row.getAs("low"), row.getAs("high")),
                        Html.text(Numbers.value(row.getAs("value"))),
                        Html.text(Numbers.range(row)),
                        Html.text(Numbers.count(row.getAs("n")))))
            .toList());
  }

  private static String contest(Row row) {
    return row.getAs("candidate") + " against " + row.getAs("opponent");
  }

  private static String slice(Row row) {
    return ALL.equals(row.getAs("slice"))
        ? ALL
        : row.<String>getAs("slice").replace('_', ' ') + ": " + row.getAs("slice_value");
  }

  /** Measurements in rows, candidates in columns. */
  private static Html alone(List<Row> rows) {
    Set<String> candidates = new LinkedHashSet<>();
    Map<String, Map<String, Row>> byMetric = new LinkedHashMap<>();
    for (Row row : ReportTables.where(rows, "slice", ALL)) {
      if (row.getAs("opponent") == null) {
        candidates.add(row.getAs("candidate"));
        byMetric
            .computeIfAbsent(row.getAs("metric"), metric -> new LinkedHashMap<>())
            .put(row.getAs("candidate"), row);
      }
    }
    List<String> header = new ArrayList<>(List.of("measurement"));
    header.addAll(candidates);
    List<List<Html>> lines = new ArrayList<>();
    byMetric.forEach(
        (metric, ofCandidates) -> {
          List<Html> line = new ArrayList<>(List.of(Html.text(metric.replace('_', ' '))));
          for (String candidate : candidates) {
            Row row = ofCandidates.get(candidate);
            line.add(
                Html.text(
                    row == null
                        ? "–"
                        : Numbers.interval(
                            row.getAs("value"), row.getAs("low"), row.getAs("high"))));
          }
          lines.add(line);
        });
    return Html.table(
        "What the responses are like, with 95 % intervals", header, candidates.size(), lines);
  }
}
