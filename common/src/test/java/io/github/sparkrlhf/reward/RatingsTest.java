package io.github.sparkrlhf.reward;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.github.sparkrlhf.spark.SparkTestSession;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.functions;
import org.apache.spark.sql.types.StructType;
import org.junit.jupiter.api.Test;

class RatingsTest {
  private static final SparkSession SPARK = SparkTestSession.get();
  private static final StructType RATINGS =
      StructType.fromDDL(
          "feedback_id STRING, prompt STRING, response STRING, rating DOUBLE,"
              + " annotator_id STRING, group_key STRING, split STRING");

  /** Longer is better; a2 rates 10 higher than a0, and a1 4 higher. Each rates two thirds. */
  private static Dataset<Row> ratings() {
    List<Row> rows = new ArrayList<>();
    for (int i = 0; i < 90; i++) {
      for (int annotator = 0; annotator < 3; annotator++) {
        if ((i + annotator) % 3 != 0) {
          int words = i * 7 % 15 + 1;
          rows.add(
              RowFactory.create(
                  i + "-" + annotator,
                  "q" + i / 5,
                  "word ".repeat(words) + i,
                  3.0 * words + new double[] {0, 4, 10}[annotator],
                  "a" + annotator,
                  "g" + i / 10,
                  i % 10 < 5 ? "train" : "test"));
        }
      }
    }
    return SPARK.createDataFrame(rows, RATINGS);
  }

  @Test
  void offsetsAreWhatAnnotatorsAddToEveryRating() {
    Map<String, Double> offsets = AnnotatorOffsets.fit(ratings(), 1e-6).byAnnotator();

    assertThat(offsets.get("a1") - offsets.get("a0")).isCloseTo(4, within(1e-3));
    assertThat(offsets.get("a2") - offsets.get("a0")).isCloseTo(10, within(1e-3));
    assertThat(
            AnnotatorOffsets.fit(
                    ratings().repartition(5).orderBy(functions.desc("feedback_id")), 1e-6)
                .byAnnotator())
        .isEqualTo(offsets);
  }

  @Test
  void aStrongerPenaltyBelievesLess() {
    // One response, two annotators, ratings 0 and 2, λ = 1: by hand b = ∓½, q = 0.
    double[] offsets =
        AnnotatorOffsets.estimate(
            List.of(new int[] {0, 0}, new int[] {0, 1}), new double[] {0, 2}, 1, 2, 1);

    assertThat(offsets[0]).isCloseTo(-0.5, within(1e-9));
    assertThat(offsets[1]).isCloseTo(0.5, within(1e-9));
  }

  @Test
  void nobodysRatingsHaveNoOffset() {
    double[] offsets =
        AnnotatorOffsets.estimate(
            List.of(new int[] {0, -1}, new int[] {0, 0}), new double[] {0, 2}, 1, 1, 1);

    assertThat(offsets).hasSize(1);
    // By hand: q = −b / 3 and b = (1 − q) / 2.
    assertThat(offsets[0]).isCloseTo(0.6, within(1e-9));
  }

  @Test
  void aForestLearnsTheRatingsWithoutTheHabits() {
    Dataset<Row> train = ratings().where("split = 'train'");
    AnnotatorOffsets offsets = AnnotatorOffsets.fit(train, 0.01);
    RewardModel model =
        ForestTrainer.randomForest().setTrees(10).setMinRowsPerLeaf(1).fitRatings(train, offsets);

    List<Row> metrics =
        RatingEvaluation.metrics(model, "forest", ratings(), "group_key").collectAsList();

    assertThat(metrics).hasSize(4);
    for (Row metric : metrics) {
      assertThat(metric.<String>getAs("metric")).isIn("spearman", "kendall");
      assertThat(metric.<Double>getAs("value")).isGreaterThan(0.7);
      assertThat(metric.<Double>getAs("low")).isLessThanOrEqualTo(metric.<Double>getAs("value"));
      assertThat(metric.<Long>getAs("n")).isEqualTo(9);
    }
    // 3 · 15 words, and the mean habit, 14/3.
    double best =
        model
            .score(SPARK.sql("SELECT 'q' AS prompt, repeat('word ', 15) AS response"))
            .first()
            .<Double>getAs("score");
    assertThat(best).isBetween(38.0, 53.0);
  }

  @Test
  void rankCorrelationsAreThoseOfTheTextbooks() {
    double[] x = {1, 2, 3, 4, 5};
    assertThat(RankCorrelation.spearman(x, new double[] {2, 1, 4, 3, 5}))
        .isCloseTo(0.8, within(1e-12));
    assertThat(RankCorrelation.kendall(x, new double[] {2, 1, 4, 3, 5}))
        .isCloseTo(0.6, within(1e-12));
    // scipy.stats: spearmanr 0.9487, kendalltau 0.9129 for one tie.
    double[] tied = {1, 2, 2, 3};
    double[] y = {1, 2, 3, 4};
    assertThat(RankCorrelation.spearman(tied, y)).isCloseTo(0.9486832980505138, within(1e-12));
    assertThat(RankCorrelation.kendall(tied, y)).isCloseTo(0.9128709291752769, within(1e-12));
    assertThat(RankCorrelation.spearman(x, new double[5])).isZero();
    assertThat(RankCorrelation.kendall(x, new double[5])).isZero();
  }
}
