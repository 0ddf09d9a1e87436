package io.github.sparkrlhf.feedback;

import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.lit;
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
        pairs(
            log("p", "'x', 'y', 'a', NULL", "'x', 'z', 'a', NULL")
                .unionByName(log("q", "'x', 'y', 'a', NULL")));
    assertThat(pairs).hasSize(3);
  }

  private static Row onlyPair(String... votes) {
    List<Row> pairs = pairs(log("p", votes));
    assertThat(pairs).hasSize(1);
    return pairs.get(0);
  }

  private static String summary(Row pair) {
    return List.of("chosen", "rejected", "probability", "votes", "ties", "margin").stream()
        .map(name -> name + " " + pair.getAs(name))
        .collect(Collectors.joining(", "));
  }

  /** The pairs of a log of which nobody knows who voted. */
  private static List<Row> pairs(Dataset<Row> log) {
    try (Feedback feedback =
            new Feedback.Builder(LogFormat.of(Layout.COMPARISON), Pairing.ANNOTATOR)
                .add(log, "log")
                .check();
        Reliability shares = Reliability.of(feedback.votes(), List.of("log"))) {
      Dataset<Row> votes = feedback.votes().withColumn("weight", lit(null).cast("double"));
      Dataset<Row> comparisons =
          feedback
              .comparisons()
              .withColumn("group_key", col("given_group"))
              .withColumn("split", lit("train"));
      boolean strengths = !votes.where("margin IS NOT NULL").isEmpty();
      Dataset<Row> tallies =
          PairAggregator.tallies(votes, shares.pairs(), List.of("log"), strengths);
      return PairAggregator.withTexts(tallies, comparisons).collectAsList();
    }
  }

  /** Votes, each with an id of its own. */
  private static Dataset<Row> log(String prompt, String... votes) {
    String values =
        Arrays.stream(votes).map(vote -> "(" + vote + ")").collect(Collectors.joining(", "));
    return SparkTestSession.get()
        .sql(
            "SELECT '"
                + prompt
                + "' AS prompt, response_a, response_b, choice,"
                + (values.contains("NULL") ? "" : " CAST(margin AS DOUBLE) AS margin,")
                + " '"
                + prompt
                + "' || row_number() OVER (ORDER BY choice) AS feedback_id FROM VALUES "
                + values
                + " AS votes(response_a, response_b, choice, margin)");
  }
}
