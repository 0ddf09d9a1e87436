package io.github.sparkrlhf.feedback;

import static org.apache.spark.sql.Encoders.STRING;
import static org.apache.spark.sql.functions.array;
import static org.apache.spark.sql.functions.array_sort;
import static org.apache.spark.sql.functions.avg;
import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.count_distinct;
import static org.apache.spark.sql.functions.when;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.github.sparkrlhf.spark.SparkTestSession;
import java.text.Normalizer;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.Test;

class SimulatedCrowdTest {
  private static final int ROWS = 20_003;
  private static final String[] SHOWN = {"prompt", "response_a", "response_b"};
  private static final SparkSession SPARK = SparkTestSession.get();
  private static final SimulatedCrowd CROWD = new SimulatedCrowd(SPARK, 17, ROWS);
  private static final Dataset<Row> VOTES = CROWD.votes().cache();

  /** The votes that nothing is wrong with, once each. */
  private static final Dataset<Row> SOUND =
      VOTES
          .distinct()
          .where("prompt <> ' \\n' AND response_b IS NOT NULL AND created_at < '2050-01-01'")
          .where("response_a <> '\u00A0\\t' AND response_a <> response_b AND choice <> 'both'")
          .where("NOT response_a LIKE '%Voil\u00E0!'")
          .cache();

  @Test
  void rowsArePureFunctionsOfSeedAndNumber() {
    SimulatedCrowdRows alone = new SimulatedCrowdRows(17, ROWS, SimulatedCrowd.ANNOTATORS);
    List<Row> repartitioned =
        CROWD.votes().repartition(7).sort("vote_id", "choice").collectAsList();

    assertThat(VOTES.sort("vote_id", "choice").collectAsList()).isEqualTo(repartitioned);
    assertThat(alone.row(4711)).isEqualTo(VOTES.where("vote_id = 'vote-000004711'").first());
    assertThat(
            new SimulatedCrowd(SPARK, 18, ROWS)
                .votes()
                .select("prompt")
                .except(VOTES.select("prompt"))
                .count())
        .isGreaterThan(700);
  }

  @Test
  void plantsAsManyFlawsAsItSays() {
    Row found =
        VOTES
            .selectExpr(
                "count_if(prompt = ' \n') AS blank_prompt",
                "count_if(response_b IS NULL) AS null_response",
                "count_if(response_a = '\u00A0\t') AS blank_response",
                "count_if(response_a = response_b) AS identical_responses",
                "count_if(choice IS NULL) AS missing_choice",
                "count_if(choice = 'both') AS unknown_choice",
                "count_if(created_at > '2099-01-01') AS future_time",
                "count(*) AS rows",
                "count(DISTINCT vote_id, choice) AS votes",
                "count(DISTINCT vote_id) AS ids")
            .first();
    Map<String, Long> flaws = new TreeMap<>();
    for (String name : found.schema().fieldNames()) {
      flaws.put(name, found.getAs(name));
    }
    // COUNT(DISTINCT …) leaves out rows with a null.
    long votes = flaws.remove("votes") + flaws.get("missing_choice");
    flaws.put("conflict", votes - flaws.remove("ids"));
    flaws.put("duplicate", flaws.remove("rows") - votes);
    flaws.put("identical_but_for_spelling", identicalButForSpelling());

    assertThat(VOTES.count()).isEqualTo(ROWS);
    assertThat(CROWD.planted()).isEqualTo(flaws).doesNotContainValue(0L);
    assertThat(CROWD.unusable())
        .containsEntry("blank_response", 40L)
        .containsEntry("conflicting_feedback_id", 40L);
    assertThat(CROWD.unusable().values().stream().mapToLong(Long::longValue).sum())
        .isLessThan(ROWS / 50);
  }

  private static long identicalButForSpelling() {
    return VOTES
        .where("response_a <> response_b")
        .select("response_a", "response_b")
        .collectAsList()
        .stream()
        .filter(
            row ->
                NormalizedText.identity(row.getString(0))
                    .equals(NormalizedText.identity(row.getString(1))))
        .filter(row -> !Normalizer.isNormalized(row.getString(1), Normalizer.Form.NFC))
        .count();
  }

  @Test
  void aPairHasFiveVotesOfDifferentPeople() {
    Dataset<Row> pairs =
        SOUND
            .withColumn("pair", array_sort(array(col("response_a"), col("response_b"))))
            .groupBy("prompt", "pair")
            .agg(
                count_distinct(col("vote_id")).as("votes"),
                count_distinct(col("annotator_id")).as("people"));

    assertThat(pairs.where("votes <> 5 OR people <> 5").count()).isZero();
    assertThat(pairs.count()).isEqualTo(CROWD.truth().count());
  }

  @Test
  void votesFollowTheTruth() {
    Dataset<Row> truth = CROWD.truth();
    Dataset<Row> otherWayRound =
        truth.selectExpr(
            "pair", "prompt", "response_b", "response_a", "translate(label, 'ab', 'ba') AS label");
    Column right = when(col("choice").equalTo(col("label")), 1.0).otherwise(0.0);
    Dataset<Row> judged =
        SOUND
            .join(truth.union(otherWayRound), SHOWN)
            .join(CROWD.annotators(), "annotator_id")
            .withColumn("better", right.minus(col("accuracy")))
            .cache();

    assertThat(judged.count()).isEqualTo(SOUND.count());
    assertThat(share(truth, "label = 'tie'")).isCloseTo(0.1, within(0.015));
    Map<String, Double> byKind =
        judged.groupBy("kind").agg(avg("better")).collectAsList().stream()
            .collect(Collectors.toMap(row -> row.getString(0), row -> row.getDouble(1)));
    // Three standard errors of the fewest votes, the hundred by who always say tie.
    assertThat(byKind)
        .hasSize(5)
        .allSatisfy((kind, better) -> assertThat(better).isCloseTo(0, within(0.09)));
    assertThat(byKind.get("honest")).isCloseTo(0, within(0.012));
  }

  @Test
  void someWorkMuchMoreThanOthers() {
    Dataset<Row> people = SOUND.groupBy("annotator_id").count();

    assertThat(people.where("count < 20").count()).isGreaterThan(1000);
    assertThat(people.where("count > 200").count()).isPositive();
  }

  @Test
  void theCrowdIsMixed() {
    Dataset<Row> people = CROWD.annotators();

    assertThat(people.count()).isEqualTo(SimulatedCrowd.ANNOTATORS);
    assertThat(share(people, "kind = 'random'")).isCloseTo(0.03, within(0.012));
    assertThat(share(people, "kind = 'always_first'")).isCloseTo(0.02, within(0.01));
    assertThat(share(people, "kind = 'position_biased'")).isCloseTo(0.03, within(0.012));
    assertThat(people.where("kind = 'always_tie'").count()).isBetween(1L, 25L);
    Row range =
        people.where("kind = 'honest'").selectExpr("min(accuracy)", "max(accuracy)").first();
    assertThat(range.getDouble(0)).isBetween(0.35, 0.4);
    assertThat(range.getDouble(1)).isBetween(0.95, 0.98);
  }

  @Test
  void leaksAreWhatTheyAreCalled() {
    List<Row> leaks = CROWD.leaks().collectAsList();
    Map<String, String> conversations =
        SOUND.select("prompt", "conversation_id").distinct().collectAsList().stream()
            .collect(Collectors.toMap(row -> row.getString(0), row -> row.getString(1)));
    Map<String, Integer> kinds = new TreeMap<>();

    for (Row leak : leaks) {
      String a = leak.getString(1);
      String b = leak.getString(2);
      kinds.merge(leak.getString(0), 1, Integer::sum);
      assertThat(conversations).containsKeys(a, b);
      assertThat(a).isNotEqualTo(b);
      switch (leak.getString(0)) {
        case "spelling" -> assertThat(NormalizedText.loose(a)).isEqualTo(NormalizedText.loose(b));
        case "near_duplicate" -> assertThat(similarity(a, b)).isBetween(0.8, 0.99);
        default -> assertThat(conversations.get(a)).isEqualTo(conversations.get(b));
      }
    }

    assertThat(kinds).isEqualTo(Map.of("spelling", 7, "near_duplicate", 7, "conversation", 7));
  }

  @Test
  void otherPromptsAreNotAlike() {
    Set<String> planted =
        new HashSet<>(
            CROWD
                .leaks()
                .where("kind <> 'conversation'")
                .select("prompt_b")
                .as(STRING())
                .collectAsList());
    List<Set<String>> prompts =
        CROWD.truth().select("prompt").distinct().limit(800).as(STRING()).collectAsList().stream()
            .filter(prompt -> !planted.contains(prompt))
            .map(SimulatedCrowdTest::shingles)
            .toList();
    double closest = 0;
    for (int i = 0; i < prompts.size(); i++) {
      for (int j = 0; j < i; j++) {
        closest = Math.max(closest, similarity(prompts.get(i), prompts.get(j)));
      }
    }

    assertThat(prompts).hasSizeGreaterThan(700);
    assertThat(closest).isLessThan(0.5);
  }

  @Test
  void textsAreAsLongAsInARealLog() {
    Row lengths =
        CROWD
            .truth()
            .selectExpr("avg(length(prompt))", "min(length(response_a))", "max(length(response_a))")
            .first();

    assertThat(lengths.getDouble(0)).isBetween(90.0, 130.0);
    assertThat(lengths.getInt(1)).isGreaterThan(130);
    assertThat(lengths.getInt(2)).isLessThan(330);
  }

  @Test
  void refusesALogTooSmallForItsFlaws() {
    assertThatThrownBy(() -> new SimulatedCrowd(SPARK, 1, 2999))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("2999 rows by 2000 annotators are too few");
  }

  private static double share(Dataset<Row> rows, String condition) {
    return (double) rows.where(condition).count() / rows.count();
  }

  private static double similarity(String a, String b) {
    return similarity(shingles(a), shingles(b));
  }

  /** Jaccard's coefficient. */
  private static double similarity(Set<String> a, Set<String> b) {
    long common = a.stream().filter(b::contains).count();
    return (double) common / (a.size() + b.size() - common);
  }

  /** The runs of five characters in a text as it is compared. */
  private static Set<String> shingles(String text) {
    String loose = NormalizedText.loose(text);
    return IntStream.rangeClosed(0, loose.length() - 5)
        .mapToObj(i -> loose.substring(i, i + 5))
        .collect(Collectors.toSet());
  }
}
