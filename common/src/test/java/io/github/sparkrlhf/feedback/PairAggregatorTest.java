package io.github.sparkrlhf.feedback;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.sparkrlhf.spark.SparkTestSession;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Collectors;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.junit.jupiter.api.Test;

class PairAggregatorTest {
  @Test
  void votesOnSwappedResponsesAreVotesOnTheSamePair() {
    Row pair = onlyPair("'x', 'y', 'a', NULL", "'y', 'x', 'b', NULL", "'x', 'y', 'b', NULL");
    assertThat(summary(pair))
        .isEqualTo(
            "chosen x, rejected y, probability 0.6666666666666666, "
                + "votes 3, ties 0, margin 0.3333333333333333");
  }

  @Test
  void aTieCountsHalf() {
    Row pair = onlyPair("'x', 'y', 'b', NULL", "'x', 'y', 'tie', NULL");
    assertThat(summary(pair))
        .isEqualTo("chosen y, rejected x, probability 0.75, votes 2, ties 1, margin 0.5");
  }

  @Test
  void equalVotesStayWithTheFirstTextChosen() {
    assertThat(summary(onlyPair("'y', 'x', 'a', NULL", "'y', 'x', 'b', NULL")))
        .isEqualTo("chosen x, rejected y, probability 0.5, votes 2, ties 0, margin 0.0");
    assertThat(summary(onlyPair("'y', 'x', 'tie', NULL")))
        .isEqualTo("chosen x, rejected y, probability 0.5, votes 1, ties 1, margin 0.0");
  }

  @Test
  void theMarginIsTheMeanStrengthForTheChosen() {
    assertThat(summary(onlyPair("'x', 'y', 'b', 3", "'x', 'y', 'b', 2", "'x', 'y', 'a', 0.5")))
        .startsWith("chosen y, rejected x")
        .endsWith("margin 1.5");
    assertThat(summary(onlyPair("'x', 'y', 'b', 3", "'x', 'y', 'tie', 0"))).endsWith("margin 1.5");
  }

  @Test
  void otherPairsAndPromptsStayApart() {
    List<Row> pairs =
        PairAggregator.pairs(
                comparisons("p", "'x', 'y', 'a', NULL", "'x', 'z', 'a', NULL")
                    .unionByName(comparisons("q", "'x', 'y', 'a', NULL")))
            .collectAsList();
    assertThat(pairs).hasSize(3);
  }

  private static Row onlyPair(String... votes) {
    List<Row> pairs = PairAggregator.pairs(comparisons("p", votes)).collectAsList();
    assertThat(pairs).hasSize(1);
    return pairs.get(0);
  }

  private static String summary(Row pair) {
    return List.of("chosen", "rejected", "probability", "votes", "ties", "margin").stream()
        .map(name -> name + " " + pair.getAs(name))
        .collect(Collectors.joining(", "));
  }

  /** Comparisons that went through the checks, each with an id of its own. */
  private static Dataset<Row> comparisons(String prompt, String... votes) {
    String values =
        Arrays.stream(votes).map(vote -> "(" + vote + ")").collect(Collectors.joining(", "));
    Dataset<Row> log =
        SparkTestSession.get()
            .sql(
                "SELECT '"
                    + prompt
                    + "' AS prompt, response_a, response_b, choice,"
                    + (values.contains("NULL") ? "" : " CAST(margin AS DOUBLE) AS margin,")
                    + " row_number() OVER (ORDER BY choice) AS feedback_id FROM VALUES "
                    + values
                    + " AS votes(response_a, response_b, choice, margin)");
    return new Feedback.Builder(FeedbackColumns.canonical(), Splits.parse("1,0,0", 0))
        .add(log, "log")
        .check()
        .comparisons();
  }
}
