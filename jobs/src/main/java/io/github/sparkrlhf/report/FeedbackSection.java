package io.github.sparkrlhf.report;

import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.count;
import static org.apache.spark.sql.functions.lit;
import static org.apache.spark.sql.functions.sum;
import static org.apache.spark.sql.functions.when;

import io.github.sparkrlhf.tables.Table;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.spark.sql.Row;

/** What people said, run by run of {@code pairs}: how much of it could be used and trusted. */
final class FeedbackSection {
  private static final String ALL = "all";

  /** Width of a bar of the histogram of accuracies. */
  private static final double BIN = 0.05;

  private static final int BINS = 20;

  private static final Map<String, String> RULES =
      Map.of(
          "longer", "the longer response is better",
          "more_lists", "the one with more lists",
          "more_markdown", "the one with more markdown",
          "first", "the one shown first");

  private final ReportTables tables;
  private final List<Section.Figure> figures = new ArrayList<>();

  private FeedbackSection(ReportTables tables) {
    this.tables = tables;
  }

  /** A section for each run of {@code pairs}. */
  static List<Section> of(ReportTables tables) {
    List<ShownRun> runs = tables.runsOf(Table.SPLITS);
    List<Section> sections = new ArrayList<>();
    for (ShownRun run : runs) {
      FeedbackSection section = new FeedbackSection(tables);
      Html body = section.body(run);
      String title = runs.size() == 1 ? "Feedback" : "Feedback: " + run.id();
      sections.add(new Section("feedback-" + sections.size(), title, section.figures, body));
    }
    return sections;
  }

  private Html body(ShownRun run) {
    return Html.all(
        Html.of(
            "p",
            "Every row of the log is used or stands in quarantine with a reason. Run "
                + run.id()
                + "."),
        funnel(run),
        quarantine(run),
        agreement(run),
        annotators(run),
        biases(run));
  }

  private Html funnel(ShownRun run) {
    Row pairs =
        tables
            .rows(Table.PAIRS)
            .where(col(Table.RUN_ID).equalTo(run.id()))
            .agg(count(lit(1)).as("pairs"), count(when(col("decided"), 1)).as("decided"))
            .first();
    long rows = run.count("rows");
    long quarantined = run.count("quarantine");
    List<List<Html>> steps = new ArrayList<>();
    step(steps, "rows in the log", rows, rows);
    step(steps, "rows used", rows - quarantined, rows);
    step(steps, "comparisons", run.count("comparisons"), rows);
    step(steps, "distinct pairs", pairs.getLong(0), rows);
    step(steps, "decided pairs", pairs.getLong(1), rows);
    List<Row> splits = new ArrayList<>(tables.of(Table.SPLITS, run));
    splits.sort(Comparator.comparing(split -> -split.<Long>getAs("pairs")));
    for (Row split : splits) {
      step(steps, "pairs in " + split.getAs("split"), split.<Long>getAs("pairs").longValue(), rows);
    }
    figures.add(
        new Section.Figure(
            Numbers.count(rows - quarantined),
            "rows of feedback used",
            Numbers.count(quarantined) + " in quarantine"));
    return Html.table("From votes to pairs", List.of("what", "", "number"), 1, steps);
  }

  private static void step(List<List<Html>> steps, String what, long number, long rows) {
    // Rankings and ratings become more comparisons than there are rows.
    double share = rows == 0 ? 0 : Math.min(1, (double) number / rows);
    steps.add(List.of(Html.text(what), Intervals.bar(share), Html.text(Numbers.count(number))));
  }

  private Html quarantine(ShownRun run) {
    List<Row> reasons =
        tables
            .rows(Table.QUARANTINE)
            .where(col(Table.RUN_ID).equalTo(run.id()))
            .groupBy("reason")
            .count()
            .orderBy(col("count").desc(), col("reason"))
            .collectAsList();
    if (reasons.isEmpty()) {
      return Html.of("p", "No row is in quarantine.");
    }
    long all = reasons.stream().mapToLong(row -> row.getLong(1)).sum();
    return Html.table(
        "Quarantine by reason",
        List.of("reason", "", "rows"),
        1,
        reasons.stream()
            .map(
                row ->
                    List.of(
                        Html.text(row.getString(0)),
                        Intervals.bar((double) row.getLong(1) / all),
                        Html.text(Numbers.count(row.getLong(1)))))
            .toList());
  }

  private Html agreement(ShownRun run) {
    List<Row> rows =
        tables.of(Table.AGREEMENT, run).stream()
            .filter(row -> row.getAs("value") != null)
            .sorted(
                Comparator.<Row, Boolean>comparing(row -> !ALL.equals(row.getAs("source")))
                    .thenComparing(row -> row.<String>getAs("source"))
                    .thenComparing(row -> row.<String>getAs("kind"))
                    .thenComparing(row -> row.<String>getAs("metric")))
            .toList();
    if (rows.isEmpty()) {
      return Html.all();
    }
    rows.stream()
        .filter(
            row ->
                ALL.equals(row.getAs("source"))
                    && "krippendorff_alpha_nominal".equals(row.getAs("metric")))
        .findFirst()
        .ifPresent(
            row ->
                figures.add(
                    new Section.Figure(
                        Numbers.value(row.getAs("value")),
                        "Krippendorff’s α",
                        Numbers.range(row))));
    return Html.all(
        Html.of("h3", "Agreement"),
        Html.table(
            "Agreement of annotators, with 95 % intervals",
            List.of("coefficient", "of", "source", "", "value", "interval", "judgements"),
            3,
            rows.stream()
                .map(
                    row ->
                        List.of(
                            Html.text(row.<String>getAs("metric").replace('_', ' ')),
                            Html.text(row.getAs("kind")),
                            Html.text(row.getAs("source")),
                            Intervals.of(row.getAs("value"), row.getAs("low"), row.getAs("high")),
                            Html.text(Numbers.value(row.getAs("value"))),
                            Html.text(Numbers.range(row)),
                            Html.text(Numbers.count(row.getAs("judgements")))))
                .toList()));
  }

  private Html annotators(ShownRun run) {
    List<Row> groups =
        tables
            .rows(Table.ANNOTATORS)
            .where(col(Table.RUN_ID).equalTo(run.id()))
            .selectExpr(
                "least(floor(accuracy / " + BIN + "), " + (BINS - 1) + ") AS bin",
                "if(spam, spam_reason, NULL) AS reason",
                "votes")
            .groupBy("bin", "reason")
            .agg(count(lit(1)).as("people"), sum("votes").as("votes"))
            .collectAsList();
    long people = groups.stream().mapToLong(row -> row.<Long>getAs("people")).sum();
    if (people == 0) {
      return Html.all();
    }
    double[] histogram = new double[BINS];
    Map<String, Long> reasons = new TreeMap<>();
    for (Row group : groups) {
      long count = group.<Long>getAs("people");
      if (group.getAs("bin") != null) {
        histogram[group.<Long>getAs("bin").intValue()] += count;
      }
      if (group.getAs("reason") != null) {
        reasons.merge(group.getAs("reason"), count, Long::sum);
      }
    }
    long flagged = reasons.values().stream().mapToLong(Long::longValue).sum();
    figures.add(
        new Section.Figure(
            Numbers.count(people), "annotators", Numbers.count(flagged) + " not to be trusted"));
    double votes = groups.stream().mapToLong(row -> row.<Long>getAs("votes")).sum();
    return Html.all(
        Html.of("h3", "Annotators"),
        Html.of(
            "p",
            "%s people with %s votes each on average. Single people are not named here: forget cannot clean a page."
                .formatted(Numbers.count(people), Numbers.value(votes / people))),
        accuracies(histogram, run),
        flagged(reasons));
  }

  private static Html flagged(Map<String, Long> reasons) {
    if (reasons.isEmpty()) {
      return Html.of("p", "None of them is flagged.");
    }
    return Html.table(
        "Annotators flagged",
        List.of("reason", "people"),
        1,
        reasons.entrySet().stream()
            .map(
                entry ->
                    List.of(Html.text(entry.getKey()), Html.text(Numbers.count(entry.getValue()))))
            .toList());
  }

  private Html accuracies(double[] people, ShownRun run) {
    if (Arrays.stream(people).sum() == 0) {
      return Html.all();
    }
    double[] accuracy = new double[people.length];
    Arrays.setAll(accuracy, bin -> bin * BIN);
    return new Chart(
            "annotators-" + tables.number(run),
            "How often annotators name the truth, as estimated",
            "accuracy, in steps of " + BIN,
            "people",
            List.of(new Chart.Line("people", 0, true, accuracy, people)))
        .html();
  }

  private Html biases(ShownRun run) {
    List<Row> rules =
        ReportTables.where(
                ReportTables.where(tables.of(Table.BIAS_AUDIT, run), "source", ALL), "split", ALL)
            .stream()
            .filter(row -> row.getAs("accuracy") != null)
            .sorted(Comparator.comparing(row -> row.<String>getAs("rule")))
            .toList();
    if (rules.isEmpty()) {
      return Html.all();
    }
    return Html.all(
        Html.of("h3", "Bias audit"),
        Html.of(
            "p",
            "How often rules that do not read the text are right. A reward model has to beat"
                + " them."),
        Html.table(
            "Rules that do not read the text, with 95 % intervals",
            List.of("rule", "", "right", "interval", "cases", "undecided"),
            4,
            rules.stream()
                .map(
                    row ->
                        List.of(
                            Html.text(
                                RULES.getOrDefault(row.<String>getAs("rule"), row.getAs("rule"))),
                            Intervals.of(
                                row.getAs("accuracy"), row.getAs("low"), row.getAs("high")),
                            Html.text(Numbers.value(row.getAs("accuracy"))),
                            Html.text(Numbers.range(row)),
                            Html.text(Numbers.count(row.getAs("n"))),
                            Html.text(Numbers.count(row.getAs("undecided")))))
                .toList()));
  }
}
