package io.github.sparkrlhf.feedback;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.sparkrlhf.spark.Failures;
import io.github.sparkrlhf.spark.JobFailure;
import io.github.sparkrlhf.spark.SparkTestSession;
import java.util.List;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.junit.jupiter.api.Test;

class RatingPairsTest {
  private static final Scale SCALE = new Scale(1, 5);

  @Test
  void ratingsOfOneAnnotatorForOnePromptAreComparedInPairs() {
    Dataset<Row> rows =
        ratings(
            "('1', 'p', 'x', 5, 'ann')",
            "('2', ' p', 'y', 3, 'ann')",
            "('3', 'p', 'z', 3, 'ann')",
            "('4', 'p', ' x', 1, 'ann')",
            "('5', 'q', 'y', 1, 'ann')",
            "('6', 'p', 'y', 1, 'bob')",
            "('7', 'p', 'y', 1, NULL)",
            "('8', 'p', 'z', 2, NULL)");
    assertThat(pairs(RatingPairs.comparisons(rows, Pairing.ANNOTATOR, SCALE)))
        .containsExactlyInAnyOrder(
            "1+2|x>y|0.5|ann",
            "1+3|x>z|0.5|ann",
            "2+3|y=z|0.0|ann",
            "2+4|y> x|0.5|ann",
            "3+4|z> x|0.5|ann",
            "7+8|z>y|0.25|null");
  }

  @Test
  void ratingsOfDifferentAnnotatorsAreComparedIfThatIsWanted() {
    Dataset<Row> rows =
        ratings(
            "('1', 'p', 'x', 5, 'ann')", "('2', 'p', 'y', 3, 'bob')", "('3', 'p', 'z', 4, 'ann')");
    assertThat(pairs(RatingPairs.comparisons(rows, Pairing.PROMPT, SCALE)))
        .containsExactlyInAnyOrder("1+2|x>y|0.5|null", "1+3|x>z|0.25|ann", "2+3|z>y|0.25|null");
  }

  @Test
  void onlyAcceptedAndRejectedAreCompared() {
    Dataset<Row> log =
        SparkTestSession.get()
            .sql(
                "SELECT id AS feedback_id, 'p' AS prompt, id AS response, label FROM VALUES"
                    + " ('1', true), ('2', false), ('3', true), ('4', false) AS log(id, label)");
    Dataset<Row> rows = JudgementLog.read(log, LogFormat.of(Layout.BINARY), "log");
    assertThat(pairs(RatingPairs.comparisons(rows, Pairing.ANNOTATOR, Scale.UNIT)))
        .containsExactlyInAnyOrder(
            "1+2|1>2|1.0|null", "1+4|1>4|1.0|null", "2+3|3>2|1.0|null", "3+4|3>4|1.0|null");
  }

  @Test
  void aRankingGivesAllPairsOfDifferentTexts() {
    Dataset<Row> log =
        SparkTestSession.get()
            .sql(
                "SELECT 'r' AS feedback_id, 'p' AS prompt, 'ann' AS annotator_id,"
                    + " array('w', 'x', 'y', 'w') AS responses, array(1, 2.5, 2.5, 4) AS ranks");
    Dataset<Row> rows = JudgementLog.read(log, LogFormat.of(Layout.RANKING), "log");
    assertThat(pairs(RatingPairs.comparisons(rows, Pairing.ANNOTATOR, Scale.UNIT)))
        .containsExactlyInAnyOrder(
            "r#1-2|w>x|0.5|ann",
            "r#1-3|w>y|0.5|ann",
            "r#2-3|x=y|0.0|ann",
            "r#2-4|x>w|0.5|ann",
            "r#3-4|y>w|0.5|ann");
  }

  @Test
  void neitherOrderNorPartitionsChangeAPair() {
    Dataset<Row> log =
        SparkTestSession.get()
            .range(600)
            .selectExpr(
                "string(id) AS feedback_id",
                "string(id % 40) AS prompt",
                "string(id DIV 40) AS response",
                "double(1 + hash(id, 7) & 3) AS rating");
    LogFormat format = LogFormat.of(Layout.RATING, SCALE);
    List<String> expected = all(JudgementLog.read(log.repartition(1), format, "log"));
    assertThat(expected).hasSize(40 * 15 * 14 / 2);
    assertThat(all(JudgementLog.read(log.repartition(7), format, "log"))).isEqualTo(expected);
    // The better one is the first of about half of the pairs.
    long first = expected.stream().filter(row -> row.contains(",a,")).count();
    long second = expected.stream().filter(row -> row.contains(",b,")).count();
    assertThat(first / (double) (first + second)).isBetween(0.47, 0.53);
  }

  @Test
  void tooManyRatingsOfOnePromptAreAnErrorThatNamesIt() {
    Dataset<Row> log =
        SparkTestSession.get()
            .range(101)
            .selectExpr("'Why?' AS prompt", "string(id) AS response", "1 AS rating");
    Dataset<Row> rows = JudgementLog.read(log, LogFormat.of(Layout.RATING, SCALE), "log");
    assertThatThrownBy(() -> RatingPairs.comparisons(rows, Pairing.ANNOTATOR, SCALE).count())
        .satisfies(
            thrown -> {
              JobFailure failure = Failures.known(thrown).orElseThrow();
              assertThat(failure.kind()).isEqualTo(JobFailure.Kind.DATA_QUALITY);
              assertThat(failure)
                  .hasMessage(
                      "Cannot pair ratings: the prompt 'Why?' has more than 100 of them by one"
                          + " annotator");
            });
  }

  private static Dataset<Row> ratings(String... rows) {
    Dataset<Row> log =
        SparkTestSession.get()
            .sql(
                "SELECT * FROM VALUES "
                    + String.join(", ", rows)
                    + " AS log(feedback_id, prompt, response, rating, annotator_id)");
    return JudgementLog.read(log, LogFormat.of(Layout.RATING, SCALE), "log");
  }

  private static List<String> all(Dataset<Row> rows) {
    return RatingPairs.comparisons(rows, Pairing.ANNOTATOR, SCALE).collectAsList().stream()
        .map(Row::toString)
        .sorted()
        .toList();
  }

  /** Id, better and worse response or both, margin, annotator; checked to be consistent. */
  private static List<String> pairs(Dataset<Row> comparisons) {
    return comparisons.collectAsList().stream().map(RatingPairsTest::pair).toList();
  }

  private static String pair(Row row) {
    String a = row.getAs("response_a");
    String b = row.getAs("response_b");
    String id = row.getAs("feedback_id");
    assertThat(row.<String>getAs("original_id")).isEqualTo(id.replaceFirst("#.*", ""));
    String said =
        switch (row.<String>getAs("choice")) {
          case "a" -> a + ">" + b;
          case "b" -> b + ">" + a;
          default -> a.compareTo(b) < 0 ? a + "=" + b : b + "=" + a;
        };
    return id + "|" + said + "|" + row.getAs("margin") + "|" + row.getAs("annotator_id");
  }
}
