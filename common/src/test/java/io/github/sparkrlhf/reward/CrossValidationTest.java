package io.github.sparkrlhf.reward;

import static org.apache.spark.sql.functions.length;
import static org.apache.spark.sql.functions.lit;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.github.sparkrlhf.reward.CrossValidation.Outcome;
import io.github.sparkrlhf.spark.JobFailure;
import io.github.sparkrlhf.spark.SparkTestSession;
import io.github.sparkrlhf.training.Progress;
import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.StructType;
import org.junit.jupiter.api.Test;

class CrossValidationTest {
  private static final SparkSession SPARK = SparkTestSession.get();

  private static Dataset<Row> pairs(String... folds) {
    List<Row> rows = new ArrayList<>();
    for (int i = 0; i < folds.length; i++) {
      rows.add(
          RowFactory.create(
              "p" + i, "q", "x".repeat(i + 2), "x", 1.0, folds[i], i == 0 ? null : 0.8, i != 1));
    }
    return SPARK.createDataFrame(
        rows,
        StructType.fromDDL(
            "pair_id STRING, prompt STRING, chosen STRING, rejected STRING, probability DOUBLE,"
                + " fold STRING, test_probability DOUBLE, test_decided BOOLEAN"));
  }

  @Test
  void everyPairIsScoredByAModelThatHasNotSeenItsFold() {
    Map<String, List<String>> fitted = new ConcurrentHashMap<>();
    RewardTrainer trainer =
        train -> {
          List<String> folds =
              train.select("fold").distinct().sort("fold").collectAsList().stream()
                  .map(row -> row.getString(0))
                  .toList();
          fitted.put(String.join("", folds), folds);
          return new LengthTimes(folds.contains("a") ? 1 : 10);
        };

    List<Outcome> outcomes =
        new CrossValidation(pairs("a", "a", "b", "c"), 3).outcomes("length", trainer, progress());

    assertThat(fitted).containsOnlyKeys("bc", "ac", "ab");
    // Only the model of fold a has not seen a; p0 has nothing to be tested on.
    assertThat(outcomes)
        .containsExactlyInAnyOrder(
            new Outcome("a", "p1", 20, 0.8, false, 2),
            new Outcome("b", "p2", 3, 0.8, true, 3),
            new Outcome("c", "p3", 4, 0.8, true, 4));
  }

  @Test
  void oneFoldIsNoCrossValidation() {
    assertThatThrownBy(() -> new CrossValidation(pairs("a", "a"), 1))
        .isInstanceOf(JobFailure.class)
        .hasMessageContaining("all pairs are in one fold");
  }

  @Test
  void aScoreThatIsNoNumberEndsIt() {
    RewardTrainer broken = train -> new LengthTimes(Double.NaN);

    assertThatThrownBy(
            () ->
                new CrossValidation(pairs("a", "b", "b"), 2).outcomes("broken", broken, progress()))
        .isInstanceOf(JobFailure.class)
        .hasMessageContaining("Cannot cross-validate broken: pair p");
  }

  @Test
  void metricsOfKnownOutcomes() {
    // Fold x: 2 of 2 right; fold y: 1 of 2 right; a tie counts in no accuracy.
    List<Outcome> outcomes =
        List.of(
            new Outcome("x", "1", 2, 1, true, 5),
            new Outcome("x", "2", -2, 0, true, 5),
            new Outcome("y", "3", 2, 1, true, -5),
            new Outcome("y", "4", 2, 0, true, -5),
            new Outcome("y", "5", 0, 0.5, false, 0));

    List<Row> rows = FoldMetrics.of("m", "kind", outcomes);

    assertThat(value(rows, "x", "accuracy")).isEqualTo(1);
    assertThat(value(rows, "y", "accuracy")).isEqualTo(0.5);
    assertThat(value(rows, null, "accuracy")).isEqualTo(0.75);
    Row mean = row(rows, null, "mean_fold_accuracy");
    assertThat(mean.getDouble(4)).isEqualTo(0.75);
    // t(0.975, 1 degree of freedom) = 12.7062; standard error 0.25.
    assertThat(mean.getDouble(5)).isCloseTo(0.75 - 12.7062 * 0.25, within(1e-4));
    // Both length rules are right on 2 of 4, one in each fold: the lift is the accuracy minus ½.
    assertThat(value(rows, null, "lift")).isEqualTo(0.25);
    double sure = Math.log1p(Math.exp(-2));
    assertThat(value(rows, null, "log_loss"))
        .isCloseTo((3 * sure + (sure + 2) + Math.log(2)) / 5, within(1e-12));
    // Two pairs of probability 0.881 in each fold: 3 of 4 right; the tie is as it says.
    double stated = 1 / (1 + Math.exp(-2));
    assertThat(value(rows, null, "ece")).isCloseTo((stated - 0.75) * 4 / 5, within(1e-12));
    // Fold x is divided by the temperature of fold y, where half is right: as good as a coin.
    assertThat(value(rows, "x", "temperature")).isGreaterThan(100);
    assertThat(value(rows, "y", "temperature")).isLessThan(0.1);
  }

  @Test
  void lengthRulesAreEachOthersOpposite() {
    List<Row> rows =
        FoldMetrics.ofLengthRules(
            List.of(
                new Outcome("x", "1", 0, 1, true, 5),
                new Outcome("y", "2", 0, 1, true, 0),
                new Outcome("y", "3", 0, 0, true, -2)));

    assertThat(
            rows.stream()
                .filter(row -> row.isNullAt(2) && row.getString(3).equals("accuracy"))
                .map(row -> row.getString(0) + " " + row.getDouble(4)))
        .containsExactly("always-longer " + 2.5 / 3, "always-shorter " + 0.5 / 3);
  }

  private static Row row(List<Row> rows, String fold, String metric) {
    return rows.stream()
        .filter(row -> Objects.equals(row.get(2), fold) && row.getString(3).equals(metric))
        .findFirst()
        .orElseThrow();
  }

  private static double value(List<Row> rows, String fold, String metric) {
    return row(rows, fold, metric).getDouble(4);
  }

  /** The length of the response times a number. */
  private record LengthTimes(double factor) implements RewardModel {
    @Override
    public String kind() {
      return "length";
    }

    @Override
    public Dataset<Row> score(Dataset<Row> rows) {
      return rows.withColumn(SCORE, length(rows.col(RESPONSE)).multiply(lit(factor)));
    }

    @Override
    public void save(Path directory, Map<String, Object> provenance) {
      throw new UnsupportedOperationException();
    }
  }

  private static Progress progress() {
    return new Progress(new PrintStream(OutputStream.nullOutputStream()), "test", 3);
  }
}
