package io.github.sparkrlhf.report;

import io.github.sparkrlhf.tables.Table;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import org.apache.spark.sql.Row;

/** What reward models look at: their greatest weights. Words of single responses are not shown. */
final class ExplanationSection {
  private static final int WEIGHTS = 20;
  private static final int TERMS = 3;

  private ExplanationSection() {}

  static List<Section> of(ReportTables tables) {
    List<Html> models = new ArrayList<>();
    for (ShownRun run : tables.runsOf(Table.EXPLANATIONS)) {
      List<Row> weights =
          ReportTables.where(tables.of(Table.EXPLANATIONS, run), "explains", "weight").stream()
              .sorted(Comparator.comparing(row -> row.<Integer>getAs("position")))
              .limit(WEIGHTS)
              .toList();
      if (!weights.isEmpty()) {
        models.add(table(weights));
      }
    }
    return models.isEmpty()
        ? List.of()
        : List.of(
            new Section("explanations", "What reward models look at", List.of(), Html.all(models)));
  }

  private static Html table(List<Row> weights) {
    Row first = weights.get(0);
    return Html.table(
        "Greatest weights of %s (%s)"
            .formatted(first.<String>getAs("model"), first.<String>getAs("kind")),
        List.of("feature", "terms", "weight"),
        1,
        weights.stream()
            .map(
                row ->
                    List.of(
                        Html.text(row.getAs("item")),
                        Html.text(terms(row)),
                        Html.text(Numbers.value(row.getAs("value")))))
            .toList());
  }

  private static String terms(Row row) {
    List<String> terms =
        row.isNullAt(row.fieldIndex("terms")) ? List.of() : row.getList(row.fieldIndex("terms"));
    return String.join(", ", terms.subList(0, Math.min(TERMS, terms.size())));
  }
}
