package io.github.sparkrlhf.jobs;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.sparkrlhf.feedback.SimulatedCrowd;
import io.github.sparkrlhf.spark.SparkTestSession;
import io.github.sparkrlhf.tables.Tables;
import java.nio.file.Path;
import java.util.Map;
import java.util.TreeMap;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A crowd about which the truth is known: 2,000 people, 5 votes on a pair, spammers among them. */
class PlantedTruthIT {
  private static final int VOTES = 200_000;

  @TempDir private Path folder;

  @Test
  void whatWasPlantedIsFound() {
    SparkSession spark = SparkTestSession.withWarehouse(folder.resolve("warehouse"));
    SimulatedCrowd crowd = new SimulatedCrowd(spark, 7, VOTES);
    String log = folder.resolve("votes").toString();
    crowd.votes().write().parquet(log);
    CommandLineRun.step(
        folder.resolve("warehouse"),
        "pairs",
        "--input",
        log,
        "--id",
        "vote_id",
        "--group",
        "conversation_id");
    Tables.open(spark, "rlhf", "rlhf").registerViews();
    crowd.annotators().createOrReplaceTempView("people");
    crowd.truth().createOrReplaceTempView("truth");
    crowd.leaks().createOrReplaceTempView("leaks");

    Map<String, Long> found = new TreeMap<>();
    spark
        .sql("SELECT reason, count(*) FROM quarantine GROUP BY reason")
        .collectAsList()
        .forEach(row -> found.put(row.getString(0), row.getLong(1)));
    assertThat(found).as("broken rows and copies").isEqualTo(new TreeMap<>(crowd.unusable()));

    assertLeaksAreClosed(spark);
    assertAnnotatorsAreKnown(spark);
    assertLabelsBeatTheMajority(spark);
  }

  private static void assertLeaksAreClosed(SparkSession spark) {
    String groups = "SELECT prompt, min(group_key) AS grp FROM comparisons GROUP BY prompt";
    Row leaks =
        spark
            .sql(
                "SELECT count(*), sum(IF(a.grp = b.grp, 1, 0)) FROM leaks JOIN ("
                    + groups
                    + ") a ON a.prompt = prompt_a JOIN ("
                    + groups
                    + ") b ON b.prompt = prompt_b")
            .first();
    System.out.println("leaks planted and closed: " + leaks);
    assertThat(leaks.getLong(0)).isPositive();
    assertThat(leaks.getLong(1)).isEqualTo(leaks.getLong(0));
    assertThat(
            spark
                .sql(
                    "SELECT sum(shared_groups + shared_prompts + shared_near_duplicates + shared_pairs) FROM splits")
                .first()
                .getLong(0))
        .isZero();
  }

  private static void assertAnnotatorsAreKnown(SparkSession spark) {
    Row accuracy =
        spark
            .sql(
                "SELECT corr(a.accuracy, p.accuracy), count(*) FROM annotators a JOIN people p USING (annotator_id) WHERE a.votes >= 20")
            .first();
    System.out.println("correlation of estimated and true accuracy, annotators: " + accuracy);
    spark
        .sql(
            "SELECT kind, count(*) AS people, sum(IF(spam, 1, 0)) AS flagged, collect_set(spam_reason) AS reasons FROM annotators JOIN people USING (annotator_id) WHERE votes >= 20 GROUP BY kind ORDER BY kind")
        .collectAsList()
        .forEach(System.out::println);
    assertThat(accuracy.getDouble(0)).isGreaterThanOrEqualTo(0.9);
  }

  /** Both labels on the same pairs: the mean difference is above 0 by more than its error. */
  private static void assertLabelsBeatTheMajority(SparkSession spark) {
    Row gain =
        spark
            .sql(
                """
                WITH labelled AS (
                  SELECT CASE label WHEN 'a' THEN response_a WHEN 'b' THEN response_b ELSE 'tie' END AS truth,
                    IF(decided, chosen, 'tie') AS posterior,
                    CASE WHEN 2 * vote_share * votes - ties > 2 * ties AND vote_share > 0.5 THEN chosen
                      WHEN 2 * (1 - vote_share) * votes - ties > 2 * ties AND vote_share < 0.5 THEN rejected
                      ELSE 'tie' END AS majority
                  FROM pairs JOIN truth ON pairs.prompt = truth.prompt
                    AND least(chosen, rejected) = least(response_a, response_b)
                    AND greatest(chosen, rejected) = greatest(response_a, response_b))
                SELECT count(*), avg(int(posterior = truth)), avg(int(majority = truth)),
                  avg(int(posterior = truth) - int(majority = truth)),
                  1.96 * stddev(int(posterior = truth) - int(majority = truth)) / sqrt(count(*))
                FROM labelled""")
            .first();
    System.out.println("pairs, posterior right, majority right, gain, +-: " + gain);
    assertThat(gain.getLong(0)).isGreaterThan(VOTES / 6);
    assertThat(gain.getDouble(3) - gain.getDouble(4)).isPositive();
  }
}
