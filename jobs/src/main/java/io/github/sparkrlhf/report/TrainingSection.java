package io.github.sparkrlhf.report;

import io.github.sparkrlhf.tables.Table;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import org.apache.spark.sql.Row;

/** How the loss of fine-tuned models fell. */
final class TrainingSection {
  private TrainingSection() {}

  static List<Section> of(ReportTables tables) {
    List<ShownRun> runs = tables.runsOf(Table.SFT_METRICS);
    if (runs.isEmpty()) {
      return List.of();
    }
    List<Chart.Line> training = new ArrayList<>();
    List<Chart.Line> validation = new ArrayList<>();
    for (ShownRun run : runs) {
      line(tables, run, "loss").ifPresent(training::add);
      line(tables, run, "validation_loss").ifPresent(validation::add);
    }
    List<Html> plots = new ArrayList<>();
    if (!training.isEmpty()) {
      plots.add(
          new Chart("sft-loss", "Loss in training", "step", "nats per token", training).html());
    }
    if (!validation.isEmpty()) {
      plots.add(
          new Chart("sft-validation", "Loss on held-out rows", "step", "nats per token", validation)
              .html());
    }
    Html body = Html.tag("div").with("class", "plots").holding(plots);
    return List.of(new Section("sft", "Fine-tuning", List.of(), body));
  }

  private static Optional<Chart.Line> line(ReportTables tables, ShownRun run, String metric) {
    List<Row> steps =
        ReportTables.where(tables.of(Table.SFT_METRICS, run), "metric", metric).stream()
            .sorted(Comparator.comparing(row -> row.<Integer>getAs("step")))
            .toList();
    return steps.isEmpty()
        ? Optional.empty()
        : Optional.of(
            new Chart.Line(
                run.name(),
                tables.color(run),
                false,
                steps.stream().mapToDouble(step -> step.<Integer>getAs("step")).toArray(),
                steps.stream().mapToDouble(step -> step.<Double>getAs("value")).toArray()));
  }
}
