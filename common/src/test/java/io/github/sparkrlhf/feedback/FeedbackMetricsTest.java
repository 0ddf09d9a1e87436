package io.github.sparkrlhf.feedback;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.sparkrlhf.spark.SparkTestSession;
import io.github.sparkrlhf.tables.Table;
import java.util.Map;
import java.util.TreeMap;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.junit.jupiter.api.Test;

class FeedbackMetricsTest {
  @Test
  void preferencesThatGoRoundAreCycles() {
    Dataset<Row> pairs =
        rows(
            """
            ('p', 'x', 'y', true, 's'), ('p', 'y ', 'z', true, 's'), ('p', 'z', 'x', true, 's'),
            ('p', 'x', 'v', true, 's'), ('p', 'v', 'w', true, 's'),
            ('q', 'x', 'y', true, 's'), ('q', 'y', 'z', true, 's'), ('q', 'z', 'x', false, 's'),
            ('r', 'x', 'y', true, 's'), ('r', 'y', 'z', true, 's'), ('r', 'z', 'x', true, 't'),
            ('r', 'k', 'l', true, 's'), ('r', 'l', 'm', true, 's'), ('r', 'm', 'n', true, 's'),
            ('r', 'n', 'k', true, 's')""",
            "prompt, chosen, rejected, decided, source");

    assertThat(values(FeedbackMetrics.cycles(pairs)))
        .isEqualTo(
            Map.of(
                "s preference_cycles", 2L,
                "s responses_in_cycles", 7L,
                "s prompts_with_cycles", 2L,
                "t preference_cycles", 0L,
                "t responses_in_cycles", 0L,
                "t prompts_with_cycles", 0L,
                "all preference_cycles", 3L,
                "all responses_in_cycles", 10L,
                "all prompts_with_cycles", 2L));
  }

  private static Dataset<Row> rows(String values, String columns) {
    return SparkTestSession.get()
        .sql("SELECT * FROM VALUES " + values + " AS rows(" + columns + ")");
  }

  private static Map<String, Long> values(Dataset<Row> metrics) {
    assertThat(metrics.schema().simpleString())
        .isEqualTo(Table.FEEDBACK_METRICS.schemaWithoutRun().simpleString());
    Map<String, Long> values = new TreeMap<>();
    for (Row row : metrics.collectAsList()) {
      values.put(row.getString(0) + " " + row.getString(1), row.getLong(2));
    }
    return values;
  }
}
