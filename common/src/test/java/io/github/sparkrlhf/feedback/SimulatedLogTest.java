package io.github.sparkrlhf.feedback;

import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.count_distinct;
import static org.apache.spark.sql.functions.lit;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.sparkrlhf.spark.SparkTestSession;
import java.util.List;
import java.util.stream.IntStream;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.Test;

class SimulatedLogTest {
  private static final SparkSession SPARK = SparkTestSession.get();
  private static final SimulatedLog LOG = new SimulatedLog(SPARK, 17, 4000);
  private static final Dataset<Row> EVENTS = LOG.events().cache();

  @Test
  void rowsArePureFunctionsOfSeedAndNumber() {
    List<Row> rows = EVENTS.orderBy("event_id").collectAsList();
    SimulatedEvents alone = new SimulatedEvents(17, 4000);

    List<Row> backwards = IntStream.range(0, 4000).mapToObj(i -> alone.row(3999 - i)).toList();

    assertThat(rows).containsExactlyInAnyOrderElementsOf(backwards);
    assertThat(new SimulatedLog(SPARK, 18, 4000).events().except(EVENTS).count())
        .isGreaterThan(3900);
  }

  @Test
  void plantsAsManyFlawsAsItSays() {
    assertThat(LOG.flaws())
        .containsEntry("duplicate", EVENTS.count() - EVENTS.distinct().count())
        .containsEntry("null_response", EVENTS.where("response_b IS NULL").count())
        .containsEntry("blank_response", EVENTS.where("trim(response_a) = ''").count())
        .containsEntry("unknown_choice", EVENTS.where("choice = 'c'").count())
        .containsEntry("identical_responses", EVENTS.where("response_a = response_b").count())
        .hasSize(5);
    assertThat(LOG.flaws().values()).allMatch(count -> count >= 20);
    assertThat(LOG.flaws().values().stream().mapToLong(Long::longValue).sum())
        .isLessThan(4000 / 20);
    assertThat(EVENTS.count()).isEqualTo(4000);
  }

  @Test
  void votesFollowTheReliabilityOfTheAnnotators() {
    Dataset<Row> decided =
        EVENTS
            .where("choice IN ('a', 'b') AND response_b IS NOT NULL AND trim(response_a) <> ''")
            .withColumn("gold_a", GoldReward.column(col("prompt"), col("response_a")))
            .withColumn("gold_b", GoldReward.column(col("prompt"), col("response_b")))
            .where("abs(gold_a - gold_b) > 1.5")
            .join(LOG.annotators(), "annotator");

    assertThat(agreement(decided.where("reliability > 0.9"))).isGreaterThan(0.88);
    assertThat(agreement(decided.where("kind = 'honest' AND reliability < 0.65")))
        .isBetween(0.5, 0.72);
    assertThat(decided.where("kind = 'always-a' AND choice = 'b'").count()).isZero();
    assertThat(EVENTS.where("choice = 'tie'").count()).isBetween(100L, 800L);
  }

  private static double agreement(Dataset<Row> decided) {
    return (double) decided.where("(choice = 'a') = (gold_a > gold_b)").count() / decided.count();
  }

  @Test
  void nobodyVotesTwiceOnAPair() {
    Dataset<Row> votes = EVENTS.distinct().where("choice <> 'c'");

    assertThat(LOG.annotators().count()).isEqualTo(200);
    assertThat(LOG.annotators().where("kind <> 'honest'").count()).isEqualTo(16);
    assertThat(votes.select(count_distinct(col("event_id"))).first().getLong(0))
        .isEqualTo(votes.count());
    assertThat(
            votes
                .selectExpr(
                    "prompt", "array_sort(array(response_a, response_b)) AS pair", "annotator")
                .groupBy("prompt", "pair", "annotator")
                .count()
                .where("count > 1 AND pair[0] <> pair[1]")
                .count())
        .isLessThanOrEqualTo(2); // Two pairs may happen to have the same texts.
  }

  @Test
  void promptsAreDistinctAndShort() {
    List<String> prompts =
        LOG.prompts().collectAsList().stream().map(row -> row.<String>getAs("prompt")).toList();

    assertThat(prompts).hasSize(576).doesNotHaveDuplicates();
    assertThat(prompts).allMatch(prompt -> prompt.split(" ").length <= 13);
    assertThat(prompts).allMatch(prompt -> SimulatedLanguage.topicOf(prompt) >= 0);
  }

  @Test
  void demonstrationsLeaveRoomForImprovement() {
    Dataset<Row> demonstrations =
        LOG.demonstrations(2000)
            .withColumn("gold", GoldReward.column(col("prompt"), col("response")));

    double mean = demonstrations.selectExpr("avg(gold)").first().getDouble(0);

    assertThat(mean).isBetween(-0.5, 1.0);
    assertThat(demonstrations.where("gold >= 2.5").count()).isGreaterThan(50);
    assertThat(demonstrations.where(col("response").equalTo(lit(""))).count()).isZero();
  }

  @Test
  void ceilingIsTheAccuracyOfTheGoldReward() {
    Dataset<Row> pairs =
        LOG.truth()
            .where("gold_a > gold_b")
            .selectExpr("prompt", "response_a AS chosen", "response_b AS rejected");

    assertThat(SimulatedLog.ceiling(pairs.withColumn("probability", lit(0.8)))).isEqualTo(1);
    assertThat(SimulatedLog.ceiling(pairs.withColumn("probability", lit(0.5)))).isNaN();
  }

  @Test
  void refusesALogTooSmallForItsFlaws() {
    assertThatThrownBy(() -> new SimulatedLog(SPARK, 1, 10))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("at least 1000");
  }
}
