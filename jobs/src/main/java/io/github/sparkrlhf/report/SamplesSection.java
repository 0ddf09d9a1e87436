package io.github.sparkrlhf.report;

import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.max;
import static org.apache.spark.sql.functions.row_number;
import static org.apache.spark.sql.functions.xxhash64;

import io.github.sparkrlhf.tables.Table;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Encoders;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.expressions.Window;

/** What policies answer to the same prompts, side by side. */
final class SamplesSection {
  /** Longer texts are cut. */
  private static final int LONGEST = 2000;

  /**
   * The answers of one policy.
   *
   * @param rows at most one per prompt
   */
  private record Answers(String title, Dataset<Row> rows) {}

  private final ReportTables tables;
  private final int prompts;

  private SamplesSection(ReportTables tables, int prompts) {
    this.tables = tables;
    this.prompts = prompts;
  }

  /**
   * @param prompts how many are shown at most
   */
  static List<Section> of(ReportTables tables, int prompts) {
    return new SamplesSection(tables, prompts).sections();
  }

  private List<Section> sections() {
    if (prompts == 0) {
      return List.of();
    }
    Map<String, Integer> last = new HashMap<>();
    tables
        .rows(Table.ROLLOUTS)
        .groupBy(Table.RUN_ID)
        .agg(max("iteration"))
        .collectAsList()
        .forEach(row -> last.put(row.getString(0), row.getInt(1)));
    List<Answers> columns = new ArrayList<>();
    for (ShownRun run : tables.runs()) {
      if (!last.containsKey(run.id())) {
        continue;
      }
      Dataset<Row> rows =
          tables
              .rows(Table.ROLLOUTS)
              .where(col(Table.RUN_ID).equalTo(run.id()))
              .where("sample = 0");
      if (run.job().equals("rollout")) {
        columns.add(new Answers(run.name(), firstOf(rows)));
      } else {
        String iteration = "iteration = " + last.get(run.id());
        columns.add(new Answers(run.name() + ", before", firstOf(rows.where("NOT " + iteration))));
        columns.add(new Answers(run.name() + ", after", firstOf(rows.where(iteration))));
      }
    }
    if (columns.isEmpty()) {
      return List.of();
    }
    List<String> chosen = chosen(columns);
    List<Map<String, Row>> answers = new ArrayList<>();
    for (Answers column : columns) {
      Map<String, Row> byPrompt = new HashMap<>();
      column
          .rows()
          .where(col("prompt").isin(chosen.toArray()))
          .collectAsList()
          .forEach(row -> byPrompt.put(row.getAs("prompt"), row));
      answers.add(byPrompt);
    }
    List<Html> samples = new ArrayList<>();
    for (String prompt : chosen) {
      samples.add(sample(prompt, columns, answers));
    }
    Html intro =
        Html.of(
            "p",
            "Prompts are chosen by a hash, not by their answers. The answer before is the earliest"
                + " one to the same prompt; each says of which iteration it is.");
    return List.of(
        new Section("samples", "Samples", List.of(), Html.all(intro, Html.all(samples))));
  }

  /** The earliest answer to each prompt. */
  private static Dataset<Row> firstOf(Dataset<Row> rows) {
    return rows.withColumn(
            "place",
            row_number().over(Window.partitionBy("prompt").orderBy("iteration", "rollout_id")))
        .where("place = 1")
        .select("prompt", "response", "iteration", "stopped", "score", "kl");
  }

  /** Prompts that as many policies as possible have answered. */
  private List<String> chosen(List<Answers> columns) {
    Dataset<Row> all =
        columns.stream()
            .map(column -> column.rows().select("prompt"))
            .reduce(Dataset::union)
            .orElseThrow();
    return all.groupBy("prompt")
        .count()
        .orderBy(col("count").desc(), xxhash64(col("prompt")), col("prompt"))
        .limit(prompts)
        .select("prompt")
        .as(Encoders.STRING())
        .collectAsList();
  }

  private static Html sample(String prompt, List<Answers> columns, List<Map<String, Row>> answers) {
    List<Html> cards = new ArrayList<>();
    for (int i = 0; i < columns.size(); i++) {
      Row row = answers.get(i).get(prompt);
      if (row != null) {
        cards.add(
            Html.of(
                "div",
                Html.of("h4", columns.get(i).title()),
                said(row.getAs("response")),
                Html.tag("p").with("class", "note").holding(note(row))));
      }
    }
    return Html.tag("article")
        .holding(
            Html.of("h3", "Prompt"),
            said(prompt),
            Html.tag("div").with("class", "cards").holding(cards));
  }

  private static Html said(String text) {
    String shown = text.length() <= LONGEST ? text : text.substring(0, LONGEST) + "…";
    return Html.tag("p").with("class", "said").with("dir", "auto").holding(shown);
  }

  private static String note(Row row) {
    List<String> notes = new ArrayList<>();
    // Of rollout it is a part and says nothing.
    if (row.getAs("score") != null) {
      notes.add("iteration " + row.<Integer>getAs("iteration"));
      notes.add("scaled score " + Numbers.value(row.getAs("score")));
    }
    if (row.getAs("kl") != null) {
      notes.add("KL " + Numbers.value(row.getAs("kl")) + " nats");
    }
    if (!row.<Boolean>getAs("stopped")) {
      notes.add("truncated");
    }
    return String.join(" · ", notes);
  }
}
