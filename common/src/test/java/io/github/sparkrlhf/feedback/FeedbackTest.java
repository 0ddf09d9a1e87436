package io.github.sparkrlhf.feedback;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.sparkrlhf.spark.SparkTestSession;
import io.github.sparkrlhf.spark.StableHash;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class FeedbackTest {
  private Feedback feedback;

  @AfterEach
  void close() {
    if (feedback != null) {
      feedback.close();
    }
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '"',
      value = {
        "blank_prompt           |                | NULL, 'x', 'y', 'a', 1, '2020-01-01', 'g', 'i'",
        "blank_prompt           |                | '\u00a0\u2003 ', 'x', 'y', 'a', 1, NULL, 'g', 'i'",
        "blank_response         | response_a     | 'p', '', 'y', 'a', 1, NULL, 'g', 'i'",
        "blank_response         | response_b     | 'p', 'x', NULL, 'a', 1, NULL, 'g', 'i'",
        "identical_responses    |                | 'p', 'x', 'x', 'a', 1, NULL, 'g', 'i'",
        "missing_choice         |                | 'p', 'x', 'y', ' ', 1, NULL, 'g', 'i'",
        "missing_choice         |                | 'p', 'x', 'y', NULL, 1, NULL, 'g', 'i'",
        "unknown_choice         | left           | 'p', 'x', 'y', 'left', 1, NULL, 'g', 'i'",
        "invalid_margin         | null           | 'p', 'x', 'y', 'a', NULL, NULL, 'g', 'i'",
        "invalid_margin         | -1.0           | 'p', 'x', 'y', 'a', -1, NULL, 'g', 'i'",
        "invalid_margin         | NaN            | 'p', 'x', 'y', 'a', 'NaN', NULL, 'g', 'i'",
        "invalid_margin         | Infinity       | 'p', 'x', 'y', 'a', 'Infinity', NULL, 'g', 'i'",
        "invalid_created_at     | yesterday-ish  | 'p', 'x', 'y', 'a', 1, 'yesterday-ish', 'g', 'i'",
        "missing_group          |                | 'p', 'x', 'y', 'a', 1, NULL, '', 'i'",
        "missing_feedback_id    |                | 'p', 'x', 'y', 'a', 1, NULL, 'g', ' '",
      })
  void anUnusableRowIsQuarantinedWithItsReason(String reason, String detail, String values) {
    check(full(values));

    assertThat(feedback.comparisons().count()).isZero();
    Row row = feedback.quarantine().first();
    assertThat(row.<String>getAs("reason")).isEqualTo(reason);
    assertThat(row.<String>getAs("detail")).isEqualTo(detail);
    assertThat(row.<String>getAs("source")).isEqualTo("log");
    assertThat(row.<String>getAs("row")).startsWith("{");
    assertThat(row.<String>getAs("feedback_id")).isNotBlank();
  }

  @Test
  void aUsableRowIsBroughtIntoItsCanonicalForm() {
    check(full("'p', 'x', 'y', ' A ', 2, '2020-01-01 10:00:00', 'g', 'i'"));
    Row row = feedback.comparisons().first();
    assertThat(
            Stream.of("feedback_id", "pair_id", "choice", "margin", "given_group", "source")
                .map(name -> String.valueOf(row.<Object>getAs(name))))
        .containsExactly(
            "i", StableHash.sha256("p", "x", "y").substring(0, 24), "a", "2.0", "g", "log");
    assertThat(row.<Object>getAs("created_at")).hasToString("2020-01-01 10:00:00.0");
  }

  @Test
  void aTieNeedsNoStrength() {
    check(full("'p', 'x', 'y', 'tie', NULL, NULL, 'g', 'i'"));
    assertThat(feedback.comparisons().first().<Double>getAs("margin")).isZero();
  }

  @Test
  void copiesOfAVoteCountOnceAndContradictionsNotAtAll() {
    check(
        full(
            "'p', 'x', 'y', 'a', 1, NULL, 'g', 'copy'",
            "'p', 'x', 'y', 'a', 1, NULL, 'g', 'copy'",
            "'p', 'x', 'y', 'a', 1, NULL, 'g', 'contradiction'",
            "'p', 'x', 'y', 'b', 1, NULL, 'g', 'contradiction'",
            "'p', 'x', 'y', 'a', 1, NULL, 'g', 'half'",
            "'p', 'x', 'y', 'maybe', 1, NULL, 'g', 'half'",
            "'p', 'x', 'y', 'a', 1, NULL, 'g', 'other'"));

    assertThat(ids(feedback.comparisons())).containsExactly("copy", "half", "other");
    assertThat(reasons())
        .isEqualTo(
            Map.of(
                "duplicate_feedback_id", 1L, "conflicting_feedback_id", 2L, "unknown_choice", 1L));
    assertThat(feedback.rows()).isEqualTo(7);
  }

  @Test
  void withoutIdsEqualRowsAreCopiesAndRowsThatDifferAnywhereAreNot() {
    check(
        SparkTestSession.get()
            .sql(
                "SELECT 'p' AS prompt, 'x' AS response_a, 'y' AS response_b, 'a' AS choice,"
                    + " explode(array(1, 1, 2)) AS unused"));

    assertThat(feedback.comparisons().count()).isEqualTo(2);
    assertThat(reasons()).isEqualTo(Map.of("duplicate_feedback_id", 1L));
    Row row = feedback.comparisons().first();
    assertThat(row.<String>getAs("given_group")).isEqualTo("p");
    assertThat(row.<String>getAs("feedback_id")).matches("[0-9a-f]{24}");
    assertThat(row.<Object>getAs("annotator_id")).isNull();
    assertThat(row.<Object>getAs("margin")).isNull();
  }

  @Test
  void textsThatLookTheSameAreOneAndKeepTheirSpelling() {
    check(
        full(
            "'p', 'caf\u00e9', 'y', 'a', 1, NULL, 'g', '1'",
            "'p ', ' y', 'cafe\u0301', 'a', 1, NULL, 'g', '2'",
            "'p', 'caf\u00e9', 'cafe\u0301', 'a', 1, NULL, 'g', '3'"));

    assertThat(feedback.votes().select("pair_id").distinct().count()).isEqualTo(1);
    assertThat(
            feedback.comparisons().where("feedback_id = '2'").first().<String>getAs("response_b"))
        .isEqualTo("cafe\u0301");
    assertThat(reasons()).isEqualTo(Map.of("identical_responses", 1L));
  }

  @Test
  void severalLogsAreCheckedTogether() {
    Dataset<Row> log = full("'p', 'x', 'y', 'a', 1, NULL, 'g', '1'");
    feedback =
        new Feedback.Builder(LogFormat.of(Layout.COMPARISON), Pairing.ANNOTATOR)
            .add(log, "first")
            .add(log, "second")
            .check();
    assertThat(feedback.comparisons().first().<String>getAs("source")).isEqualTo("first");
    assertThat(feedback.quarantine().first().<String>getAs("source")).isEqualTo("second");
  }

  private void check(Dataset<Row> log) {
    feedback =
        new Feedback.Builder(LogFormat.of(Layout.COMPARISON), Pairing.ANNOTATOR)
            .add(log, "log")
            .check();
  }

  /** A log with all canonical columns. */
  private static Dataset<Row> full(String... rows) {
    String values =
        Arrays.stream(rows).map(row -> "(" + row + ")").collect(Collectors.joining(", "));
    return SparkTestSession.get()
        .sql(
            "SELECT CAST(prompt AS STRING), CAST(response_a AS STRING), CAST(response_b AS STRING),"
                + " CAST(choice AS STRING), CAST(margin AS DOUBLE), CAST(created_at AS STRING),"
                + " group_key, feedback_id FROM VALUES "
                + values
                + " AS log(prompt, response_a, response_b, choice, margin, created_at, group_key,"
                + " feedback_id)");
  }

  private static List<String> ids(Dataset<Row> rows) {
    return rows.collectAsList().stream().map(r -> r.<String>getAs("feedback_id")).sorted().toList();
  }

  private Map<String, Long> reasons() {
    return feedback.quarantineCounts().stream()
        .collect(Collectors.toMap(Feedback.ReasonCount::reason, Feedback.ReasonCount::rows));
  }
}
