package io.github.sparkrlhf.report;

import io.github.sparkrlhf.tables.Table;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.apache.spark.sql.Row;

/** How right reward models are on pairs that they were not trained on. */
final class RewardSection {
  /** Of the splits that a model is not trained on, the one that nothing else was fitted on. */
  private static final List<String> SPLITS = List.of("test", "validation");

  private static final String ACCURACY = "accuracy";
  private static final String ALL = "all";

  /** Slices with fewer pairs have intervals as wide as the line. */
  private static final int FEWEST_PAIRS = 20;

  private static final List<String> KEY_METRICS =
      List.of(
          ACCURACY,
          "accuracy_always_longer",
          "lift_over_longer",
          "ceiling",
          "share_of_ceiling",
          "log_loss",
          "ece",
          "ece_temperature",
          "length_correlation_pearson",
          "spearman");

  private static final Map<String, String> METHODS =
      Map.of("none", "as scored", "temperature", "temperature scaling", "isotonic", "isotonic");

  private final ReportTables tables;
  private final List<ShownRun> runs;
  private final List<Section.Figure> figures = new ArrayList<>();

  private RewardSection(ReportTables tables, List<ShownRun> runs) {
    this.tables = tables;
    this.runs = runs;
  }

  static List<Section> of(ReportTables tables) {
    RewardSection section = new RewardSection(tables, tables.runsOf(Table.REWARD_METRICS));
    if (section.runs.isEmpty()) {
      return List.of();
    }
    List<Html> models = new ArrayList<>();
    for (ShownRun run : section.runs) {
      models.add(section.model(run));
    }
    Html body = Html.all(section.comparison(), Html.all(models));
    return List.of(new Section("reward", "Reward models", section.figures, body));
  }

  /** The split to report, of which the run has pairs. */
  private String split(ShownRun run) {
    List<Row> metrics = tables.of(Table.REWARD_METRICS, run);
    return SPLITS.stream()
        .filter(split -> !ReportTables.where(metrics, "split", split).isEmpty())
        .findFirst()
        .orElse("train");
  }

  private Html comparison() {
    List<String> header = new ArrayList<>(List.of("measurement"));
    List<Map<String, Row>> measured = new ArrayList<>();
    for (ShownRun run : runs) {
      String split = split(run);
      List<Row> rows =
          ReportTables.where(
              ReportTables.where(tables.of(Table.REWARD_METRICS, run), "split", split),
              "slice",
              ALL);
      Map<String, Row> byMetric = new HashMap<>();
      rows.forEach(row -> byMetric.put(row.getAs("metric"), row));
      measured.add(byMetric);
      header.add(run.name() + " (" + split + ")");
      Row accuracy = byMetric.get(ACCURACY);
      if (accuracy != null) {
        figures.add(
            new Section.Figure(
                Numbers.value(accuracy.getAs("value")),
                "accuracy of " + run.name(),
                Numbers.range(accuracy) + " on " + split));
      }
    }
    List<List<Html>> rows = new ArrayList<>();
    for (String metric : KEY_METRICS) {
      if (measured.stream().anyMatch(byMetric -> byMetric.containsKey(metric))) {
        List<Html> cells = new ArrayList<>(List.of(Html.text(metric.replace('_', ' '))));
        for (Map<String, Row> byMetric : measured) {
          Row row = byMetric.get(metric);
          cells.add(
              Html.text(
                  row == null
                      ? "–"
                      : Numbers.interval(row.getAs("value"), row.getAs("low"), row.getAs("high"))));
        }
        rows.add(cells);
      }
    }
    return Html.table("Measurements with 95 % intervals", header, runs.size(), rows);
  }

  private Html model(ShownRun run) {
    String split = split(run);
    return Html.all(Html.of("h3", run.name()), slices(run, split), reliability(run, split));
  }

  private Html slices(ShownRun run, String split) {
    List<Row> metrics = ReportTables.where(tables.of(Table.REWARD_METRICS, run), "split", split);
    Map<List<String>, Double> longer = new HashMap<>();
    ReportTables.where(metrics, "metric", "accuracy_always_longer")
        .forEach(row -> longer.put(slice(row), row.getAs("value")));
    List<Row> slices =
        ReportTables.where(metrics, "metric", ACCURACY).stream()
            .filter(row -> row.<Long>getAs("n") >= FEWEST_PAIRS)
            .sorted(
                Comparator.<Row, Boolean>comparing(row -> !slice(row).get(0).equals(ALL))
                    .thenComparing(row -> slice(row).get(0))
                    .thenComparing(row -> slice(row).get(1)))
            .toList();
    if (slices.isEmpty()) {
      return Html.all();
    }
    return Html.table(
        String.format(
            Locale.ROOT,
            "Accuracy by slice on the split %s, with 95 %% intervals; slices of at least %d pairs",
            split,
            FEWEST_PAIRS),
        List.of("slice", "value", "", "accuracy", "interval", "always the longer", "pairs"),
        4,
        slices.stream()
            .map(
                row ->
                    List.of(
                        Html.text(row.<String>getAs("slice").replace('_', ' ')),
                        Html.text(row.getAs("slice_value")),
                        Intervals.of(row.getAs("value"), row.getAs("low"), row.getAs("high")),
                        Html.text(Numbers.value(row.getAs("value"))),
                        Html.text(Numbers.range(row)),
                        Html.text(Numbers.value(longer.get(slice(row)))),
                        Html.text(Numbers.count(row.getAs("n")))))
            .toList());
  }

  private static List<String> slice(Row row) {
    return List.of(row.<String>getAs("slice"), row.<String>getAs("slice_value"));
  }

  private Html reliability(ShownRun run, String split) {
    List<Row> bins =
        ReportTables.where(tables.of(Table.RELIABILITY, run), "split", split).stream()
            .sorted(Comparator.comparing(row -> row.<Integer>getAs("bin")))
            .toList();
    List<Chart.Line> lines = new ArrayList<>();
    for (String method : List.of("none", "temperature", "isotonic")) {
      List<Row> ofMethod =
          bins.stream().filter(bin -> method.equals(bin.<String>getAs("method"))).toList();
      if (!ofMethod.isEmpty()) {
        lines.add(
            new Chart.Line(
                METHODS.get(method),
                lines.size(),
                true,
                ofMethod.stream().mapToDouble(bin -> bin.<Double>getAs("predicted")).toArray(),
                ofMethod.stream().mapToDouble(bin -> bin.<Double>getAs("observed")).toArray()));
      }
    }
    if (lines.isEmpty()) {
      return Html.all();
    }
    lines.add(new Chart.Line("perfect", 5, false, new double[] {0.5, 1}, new double[] {0.5, 1}));
    double lowest =
        lines.stream().flatMapToDouble(line -> Arrays.stream(line.y())).min().orElse(0.5);
    return Html.all(
        new Chart(
                "reliability-" + tables.number(run),
                "Reliability on the split " + split,
                "probability that the model gives to what it prefers",
                "share of people who prefer it",
                lines)
            .between(0.5, 1, Math.min(0.5, Math.floor(10 * lowest) / 10), 1)
            .html(),
        Html.details(
            "Numbers of the reliability curve",
            Html.table(
                "Bins of the reliability curve",
                List.of("method", "bin", "predicted", "observed", "interval", "pairs"),
                5,
                bins.stream()
                    .map(
                        bin ->
                            List.of(
                                Html.text(METHODS.getOrDefault(bin.<String>getAs("method"), "")),
                                Html.text(bin.<Integer>getAs("bin").toString()),
                                Html.text(Numbers.value(bin.getAs("predicted"))),
                                Html.text(Numbers.value(bin.getAs("observed"))),
                                Html.text(Numbers.range(bin)),
                                Html.text(Numbers.count(bin.getAs("n")))))
                    .toList())));
  }
}
