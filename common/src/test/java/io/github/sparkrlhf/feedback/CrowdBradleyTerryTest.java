package io.github.sparkrlhf.feedback;

import static org.apache.spark.sql.functions.expr;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.github.sparkrlhf.feedback.VoteLog.Vote;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.junit.jupiter.api.Test;

class CrowdBradleyTerryTest {
  private static final int PROMPTS = 30;
  private static final int RESPONSES = 6;

  /** At the maximum no score can move without the posterior falling, by finite differences. */
  @Test
  void scoresAreAMaximumOfThePosterior() {
    Random random = new Random(1);
    int[] first = new int[60];
    int[] second = new int[60];
    double[] shares = new double[60];
    double[] reliabilities = new double[60];
    for (int i = 0; i < first.length; i++) {
      first[i] = random.nextInt(5);
      second[i] = (first[i] + 1 + random.nextInt(4)) % 5;
      shares[i] = random.nextInt(3) / 2.0;
      reliabilities[i] = 0.3 + 0.69 * random.nextDouble();
    }
    double[] scores = BradleyTerryScores.fit(5, first, second, shares, reliabilities);

    for (int i = 0; i < scores.length; i++) {
      double[] up = scores.clone();
      double[] down = scores.clone();
      up[i] += 1e-5;
      down[i] -= 1e-5;
      double slope =
          (logPosterior(up, first, second, shares, reliabilities)
                  - logPosterior(down, first, second, shares, reliabilities))
              / 2e-5;
      assertThat(slope).isCloseTo(0, within(5e-3));
      assertThat(Math.abs(scores[i])).isGreaterThan(0.01);
    }
  }

  private static double logPosterior(
      double[] scores, int[] first, int[] second, double[] shares, double[] reliabilities) {
    double sum = 0;
    for (int i = 0; i < first.length; i++) {
      double wins = 1 / (1 + Math.exp(scores[second[i]] - scores[first[i]]));
      double forFirst = reliabilities[i] * wins + (1 - reliabilities[i]) * (1 - wins);
      sum += shares[i] * Math.log(forFirst) + (1 - shares[i]) * Math.log(1 - forFirst);
    }
    for (double score : scores) {
      sum -= 0.25 / 2 * score * score;
    }
    return sum;
  }

  @Test
  void twoResponsesAndOneSureAnnotatorHaveTheScoreOfTheirEquation() {
    int[] first = {0, 0, 0, 0};
    int[] second = {1, 1, 1, 1};
    double[] scores =
        BradleyTerryScores.fit(
            2, first, second, new double[] {1, 1, 1, 0}, new double[] {1, 1, 1, 1});

    assertThat(scores[1]).isEqualTo(-scores[0]);
    assertThat(3 - 4 / (1 + Math.exp(-2 * scores[0]))).isCloseTo(0.25 * scores[0], within(1e-3));
  }

  @Test
  void findsThePlantedOrderThroughUnreliableAnnotators() {
    double[][] truth = new double[PROMPTS][RESPONSES];
    Dataset<Row> votes = votes(planted(truth));
    try (CrowdBradleyTerry model = CrowdBradleyTerry.of(votes)) {
      double[][] scores = new double[PROMPTS][RESPONSES];
      for (Row row : model.responses().collectAsList()) {
        scores[(int) row.getLong(0)][(int) row.getLong(1)] = row.getDouble(2);
        assertThat(row.getLong(3)).isPositive();
      }
      Map<String, Row> pairs = new HashMap<>();
      model.pairs().collectAsList().forEach(row -> pairs.put(row.getString(0), row));
      int right = 0;
      int posteriorRight = 0;
      int majorityRight = 0;
      int clear = 0;
      Map<String, Integer> balances = balances(votes);
      for (int prompt = 0; prompt < PROMPTS; prompt++) {
        for (int i = 0; i < RESPONSES; i++) {
          for (int j = i + 1; j < RESPONSES; j++) {
            double difference = truth[prompt][i] - truth[prompt][j];
            if (Math.abs(difference) > 0.5) {
              clear++;
              right += (scores[prompt][i] > scores[prompt][j]) == difference > 0 ? 1 : 0;
              String pair = prompt + ":" + i + ":" + j;
              Row row = pairs.get(pair);
              assertThat(row.getDouble(1) + row.getDouble(2) + row.getDouble(3))
                  .isCloseTo(1, within(1e-12));
              posteriorRight += (row.getDouble(1) > row.getDouble(2)) == difference > 0 ? 1 : 0;
              majorityRight += balances.get(pair) * difference > 0 ? 1 : 0;
            }
          }
        }
      }
      assertThat(clear).isGreaterThan(200);
      assertThat(posteriorRight).isEqualTo(right);
      assertThat((double) right / clear).isGreaterThan(0.95);
      assertThat((double) majorityRight / clear).isLessThan(0.85);
    }
  }

  @Test
  void aPairThatIsAlwaysATieIsMostlyATie() {
    List<Vote> votes = new ArrayList<>();
    for (int i = 0; i < 6; i++) {
      votes.add(VoteLog.vote("0:0:1", "w" + i, "tie", false));
      votes.add(VoteLog.vote("0:0:2", "w" + i, i < 3 ? "a" : "b", i >= 3));
    }
    try (CrowdBradleyTerry model = CrowdBradleyTerry.of(votes(votes))) {
      Row pair = model.pairs().where("pair_id = '0:0:1'").head();
      assertThat(pair.getDouble(3)).isEqualTo((6 + 2 * 0.5) / (6 + 2));
      assertThat(model.pairs().where("pair_id = '0:0:2'").head().getDouble(3))
          .isEqualTo(2 * 0.5 / (6 + 2));
    }
  }

  @Test
  void orderAndPartitionsChangeNoBit() {
    List<Vote> votes = planted(new double[PROMPTS][RESPONSES]).subList(0, 600);
    List<Vote> shuffled = new ArrayList<>(votes);
    Collections.shuffle(shuffled, new Random(2));

    assertThat(outcome(votes(shuffled).repartition(5)))
        .isEqualTo(outcome(votes(votes).coalesce(1)));
  }

  private static List<Row> outcome(Dataset<Row> votes) {
    try (CrowdBradleyTerry model = CrowdBradleyTerry.of(votes)) {
      List<Row> rows = new ArrayList<>(model.pairs().orderBy("pair_id").collectAsList());
      rows.addAll(model.responses().orderBy("prompt_key", "response_key").collectAsList());
      return rows;
    }
  }

  /** Of 40 annotators every fourth says the opposite; every pair has 5 votes. */
  private static List<Vote> planted(double[][] truth) {
    Random random = new Random(7);
    List<Vote> votes = new ArrayList<>();
    for (int prompt = 0; prompt < PROMPTS; prompt++) {
      for (int i = 0; i < RESPONSES; i++) {
        truth[prompt][i] = 2 * random.nextGaussian();
      }
      for (int i = 0; i < RESPONSES; i++) {
        for (int j = i + 1; j < RESPONSES; j++) {
          for (int k = 0; k < 5; k++) {
            int annotator = random.nextInt(40);
            double wins = 1 / (1 + Math.exp(truth[prompt][j] - truth[prompt][i]));
            boolean forFirst = (random.nextDouble() < wins) == (annotator % 4 > 0);
            boolean swapped = random.nextBoolean();
            String choice = forFirst == swapped ? "b" : "a";
            votes.add(VoteLog.vote(prompt + ":" + i + ":" + j, "w" + annotator, choice, swapped));
          }
        }
      }
    }
    return votes;
  }

  private static Map<String, Integer> balances(Dataset<Row> votes) {
    Map<String, Integer> balances = new HashMap<>();
    votes
        .selectExpr("pair_id", "IF((choice = 'a') != swapped, 1, -1)")
        .collectAsList()
        .forEach(row -> balances.merge(row.getString(0), row.getInt(1), Integer::sum));
    return balances;
  }

  /** Votes whose pair is named prompt:first:second by number. */
  private static Dataset<Row> votes(List<Vote> votes) {
    return VoteLog.rows(votes)
        .withColumn("prompt_key", expr("bigint(split(pair_id, ':')[0])"))
        .withColumn("first_key", expr("bigint(split(pair_id, ':')[1])"))
        .withColumn("second_key", expr("bigint(split(pair_id, ':')[2])"));
  }
}
