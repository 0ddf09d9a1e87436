package io.github.sparkrlhf.report;

import io.github.sparkrlhf.tables.Table;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.NavigableMap;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.stream.Collectors;
import org.apache.spark.sql.Row;

/** What PPO did to its policies, iteration by iteration. */
final class PpoSection {
  private static final String SCORES = "objective/raw_scores";
  private static final String KL = "objective/kl";

  /** The first alarms tell what began; a run without {@code stop} may have one per iteration. */
  private static final int MOST_ALARMS = 10;

  /** A metric that is drawn: what it is, and in which unit. */
  private record Curve(String metric, String title, String unit) {}

  private static final List<Curve> CURVES =
      List.of(
          new Curve(SCORES, "Reward", "mean score of the reward model"),
          new Curve("watchdog/scores", "Score by the watcher", "mean score of the second model"),
          new Curve(KL, "KL to the reference", "nats per response"),
          new Curve("policy/entropy_avg", "Entropy", "nats per token"),
          new Curve("response/length_mean", "Length of responses", "tokens"),
          new Curve("response/truncated_share", "Truncated responses", "share"),
          new Curve("policy/clipfrac_avg", "Clip fraction", "share of tokens"),
          new Curve("val/explained_variance", "Variance that the critic explains", "share"));

  private final ReportTables tables;
  private final Map<ShownRun, Map<String, NavigableMap<Integer, Double>>> metrics =
      new LinkedHashMap<>();

  private PpoSection(ReportTables tables) {
    this.tables = tables;
    for (ShownRun run : tables.runsOf(Table.PPO_METRICS)) {
      Map<String, NavigableMap<Integer, Double>> ofRun = new TreeMap<>();
      for (Row row : tables.of(Table.PPO_METRICS, run)) {
        ofRun
            .computeIfAbsent(row.getAs("metric"), metric -> new TreeMap<>())
            .put(row.getAs("iteration"), row.getAs("value"));
      }
      metrics.put(run, ofRun);
    }
  }

  static List<Section> of(ReportTables tables) {
    PpoSection section = new PpoSection(tables);
    return section.metrics.isEmpty()
        ? List.of()
        : List.of(new Section("ppo", "PPO", section.figures(), section.body()));
  }

  private List<Section.Figure> figures() {
    List<Section.Figure> figures = new ArrayList<>();
    metrics.forEach(
        (run, ofRun) -> {
          if (ofRun.containsKey(SCORES) && ofRun.containsKey(KL)) {
            figures.add(
                new Section.Figure(
                    "%s → %s".formatted(first(ofRun.get(SCORES)), last(ofRun.get(SCORES))),
                    "reward before and after " + run.name(),
                    "KL " + last(ofRun.get(KL)) + " nats"));
          }
        });
    return figures;
  }

  private Html body() {
    List<Html> plots = new ArrayList<>();
    for (Curve curve : CURVES) {
      List<Chart.Line> lines = new ArrayList<>();
      metrics.forEach(
          (run, ofRun) -> {
            if (ofRun.containsKey(curve.metric())) {
              lines.add(line(run, ofRun.get(curve.metric())));
            }
          });
      if (!lines.isEmpty()) {
        plots.add(
            new Chart("ppo-" + plots.size(), curve.title(), "iteration", curve.unit(), lines)
                .html());
      }
    }
    plots.add(frontier());
    return Html.all(
        Html.of(
            "p",
            "Iteration 0 is the policy before, the last the policy after. The reward is the reward"
                + " model’s, before scaling; it can rise while people like the responses less. Read"
                + " it with the KL: the further the policy is from the reference, the less the"
                + " reward model knows of what it says."),
        Html.tag("div").with("class", "plots").holding(plots),
        Html.all(metrics.keySet().stream().map(PpoSection::alarms).toList()),
        Html.all(metrics.keySet().stream().map(this::numbers).toList()));
  }

  private Chart.Line line(ShownRun run, NavigableMap<Integer, Double> values) {
    return new Chart.Line(
        run.name(),
        tables.color(run),
        false,
        values.keySet().stream().mapToDouble(Integer::doubleValue).toArray(),
        values.values().stream().mapToDouble(Double::doubleValue).toArray());
  }

  /** Reward against √KL (Gao et al., 2023), beside what choosing among n would give. */
  private Html frontier() {
    List<Chart.Line> lines = new ArrayList<>();
    Set<String> rewardModels = new TreeSet<>();
    metrics.forEach(
        (run, ofRun) -> {
          NavigableMap<Integer, Double> scores = ofRun.getOrDefault(SCORES, new TreeMap<>());
          NavigableMap<Integer, Double> kl = ofRun.getOrDefault(KL, new TreeMap<>());
          List<Integer> both = scores.keySet().stream().filter(kl::containsKey).toList();
          if (!both.isEmpty()) {
            rewardModels.add(String.valueOf(run.configuration().get("reward")));
            lines.add(
                new Chart.Line(
                    run.name(),
                    tables.color(run),
                    true,
                    both.stream().mapToDouble(i -> Math.sqrt(Math.max(0, kl.get(i)))).toArray(),
                    both.stream().mapToDouble(scores::get).toArray()));
          }
        });
    if (lines.isEmpty()) {
      return Html.all();
    }
    for (ShownRun run : tables.runsOf(Table.BEST_OF_N)) {
      // Scores of another reward model have another scale.
      if (rewardModels.contains(String.valueOf(run.configuration().get("model")))) {
        List<Row> curve =
            tables.of(Table.BEST_OF_N, run).stream()
                .sorted(Comparator.comparing(row -> row.<Integer>getAs("n")))
                .toList();
        lines.add(
            new Chart.Line(
                "best of n by " + run.id(),
                lines.size(),
                true,
                curve.stream()
                    .mapToDouble(row -> Math.sqrt(row.<Double>getAs("kl_bound")))
                    .toArray(),
                curve.stream().mapToDouble(row -> row.<Double>getAs("score")).toArray()));
      }
    }
    return new Chart(
            "ppo-frontier",
            "Reward against √KL",
            "√KL to the reference, √nats",
            "mean score of the reward model",
            lines)
        .html();
  }

  /** What the watchdog of a run said. */
  private static Html alarms(ShownRun run) {
    if (!(run.summary().get("alarms") instanceof List<?> alarms) || alarms.isEmpty()) {
      return Html.all();
    }
    String kept =
        run.summary().containsKey("kept_iteration")
            ? " It stopped the run, and the weights of iteration %s were kept."
                .formatted(run.summary().get("kept_iteration"))
            : "";
    return Html.all(
        Html.of("h3", "Alarms of the watchdog of " + run.name()),
        Html.of(
            "p",
            Numbers.count(alarms.size()) + (alarms.size() == 1 ? " alarm." : " alarms.") + kept),
        Html.tag("ul")
            .holding(
                alarms.stream()
                    .limit(MOST_ALARMS)
                    .map(alarm -> Html.of("li", String.valueOf(alarm)))
                    .toList()));
  }

  private Html numbers(ShownRun run) {
    Map<String, NavigableMap<Integer, Double>> ofRun = metrics.get(run);
    List<List<Html>> rows =
        ofRun.entrySet().stream()
            .map(
                entry ->
                    List.of(
                        Html.text(entry.getKey()),
                        Html.text(first(entry.getValue())),
                        Html.text(last(entry.getValue())),
                        Html.text(
                            Numbers.value(
                                entry.getValue().values().stream()
                                    .min(Double::compare)
                                    .orElseThrow())),
                        Html.text(
                            Numbers.value(
                                entry.getValue().values().stream()
                                    .max(Double::compare)
                                    .orElseThrow()))))
            .collect(Collectors.toList());
    return Html.details(
        "All metrics of " + run.name(),
        Html.table(
            "Metrics of " + run.name(),
            List.of("metric", "first", "last", "least", "greatest"),
            4,
            rows));
  }

  private static String first(NavigableMap<Integer, Double> values) {
    return Numbers.value(values.firstEntry().getValue());
  }

  private static String last(NavigableMap<Integer, Double> values) {
    return Numbers.value(values.lastEntry().getValue());
  }
}
