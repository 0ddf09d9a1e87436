package io.github.sparkrlhf.feedback;

import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.lit;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.github.sparkrlhf.spark.CounterRandom;
import io.github.sparkrlhf.spark.SparkTestSession;
import java.util.Arrays;
import java.util.List;
import java.util.stream.LongStream;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.junit.jupiter.api.Test;

class AgreementTest {
  private static final String RATINGS =
      """
      ('s', 'u1', 'w1', 1), ('s', 'u1', 'w2', 2), ('s', 'u2', 'w1', 3), ('s', 'u2', 'w2', 3),
      ('s', 'u3', 'w1', 4), ('s', 'u3', 'w2', 4), ('s', 'u3', 'w3', 5), ('s', 'u4', 'w1', 2)""";

  @Test
  void countsUnitsThatWereJudgedTwice() {
    Row row = row(table(judgements("rating", RATINGS)), "s", "raw_agreement");

    assertThat(row.<Double>getAs("value")).isCloseTo((0 + 1 + 1.0 / 3) / 3, within(1e-12));
    assertThat(row.<Double>getAs("low")).isBetween(0.0, row.<Double>getAs("value"));
    assertThat(row.<Double>getAs("high")).isBetween(row.<Double>getAs("value"), 1.0);
    assertThat(row.<Long>getAs("units")).isEqualTo(3);
    assertThat(row.<Long>getAs("judgements")).isEqualTo(7);
  }

  @Test
  void kappaIsForClassesOnly() {
    assertThat(metrics(table(judgements("rating", RATINGS)), "s"))
        .containsExactly(
            "raw_agreement",
            "krippendorff_alpha_nominal",
            "krippendorff_alpha_ordinal",
            "krippendorff_alpha_interval");
    assertThat(metrics(table(judgements("comparison", RATINGS)), "all"))
        .hasSize(5)
        .contains("fleiss_kappa");
  }

  @Test
  void overAllSourcesAUnitIsOneUnit() {
    Dataset<Row> table = table(judgements("rating", "('s', 'u1', 'w1', 1), ('t', 'u1', 'w2', 1)"));

    assertThat(row(table, "s", "raw_agreement").<Long>getAs("units")).isZero();
    assertThat(row(table, "s", "raw_agreement").<Double>getAs("value")).isNull();
    assertThat(row(table, "all", "raw_agreement").<Double>getAs("value")).isEqualTo(1);
    assertThat(row(table, "all", "raw_agreement").<Double>getAs("low")).isNull();
    assertThat(row(table, "all", "krippendorff_alpha_interval").<Double>getAs("value")).isNull();
  }

  @Test
  void oneCannotAgreeWithOneself() {
    Dataset<Row> repeated =
        table(
            judgements(
                "rating",
                "('s', 'u1', 'w1', 1), ('s', 'u1', 'w1', 1), ('t', 'u1', 'w1', 1),"
                    + " ('s', 'u1', 'w2', 2), ('s', 'u2', NULL, 1), ('s', 'u2', NULL, 1)"));

    for (String source : List.of("s", "all")) {
      Row row = row(repeated, source, "raw_agreement");
      assertThat(row.<Double>getAs("value")).isEqualTo(0.5);
      assertThat(row.<Long>getAs("judgements")).isEqualTo(4);
    }
    assertThat(row(repeated, "t", "raw_agreement").<Long>getAs("units")).isZero();
  }

  @Test
  void neitherOrderNorPartitionsChangeABit() {
    Dataset<Row> judgements = random(400);

    List<Row> once = table(judgements).collectAsList();
    List<Row> again = table(judgements.orderBy(col("value")).repartition(7)).collectAsList();

    assertThat(again).isEqualTo(once);
    assertThat(Agreement.table(Agreement.vectors(judgements), 8).collectAsList())
        .isNotEqualTo(once);
  }

  /** Half of the pairs of judgements agree; the error of their mean is known. */
  @Test
  void intervalsHaveTheWidthOfTheNormalApproximation() {
    Row row = row(table(random(2000)), "s", "raw_agreement");
    double value = row.getAs("value");
    double error = Math.sqrt(value * (1 - value) / 2000);

    assertThat(row.<Double>getAs("low")).isCloseTo(value - 1.96 * error, within(0.2 * error));
    assertThat(row.<Double>getAs("high")).isCloseTo(value + 1.96 * error, within(0.2 * error));
  }

  @Test
  void poissonNumbersHaveTheirMeanAndVariance() {
    CounterRandom random = new CounterRandom(3, "test");
    for (long mean : new long[] {1, 7, 99, 100, 5000}) {
      double[] drawn =
          LongStream.range(0, 20_000)
              .mapToDouble(
                  i ->
                      AgreementBootstrap.poisson(
                          mean, StrictMath.exp((double) -mean), random, i, mean))
              .toArray();
      double average = Arrays.stream(drawn).average().orElseThrow();
      double variance = Arrays.stream(drawn).map(x -> (x - average) * (x - average)).sum() / 20_000;
      assertThat(average).isCloseTo((double) mean, within(5 * Math.sqrt(mean / 20_000.0)));
      assertThat(variance / mean).isCloseTo(1, within(0.06));
    }
  }

  @Test
  void aRatingJudgesAResponseToAPrompt() {
    Dataset<Row> ratings =
        SparkTestSession.get()
            .sql(
                """
                SELECT *, 's' AS source FROM VALUES ('p', 'x', 'w1', 3.0D), ('p', 'x', 'w2', 3.0D),
                ('q', 'x', 'w1', 1.0D), ('p', 'y', 'w1', double('NaN'))
                AS ratings(prompt_key, response, annotator_id, rating)""");

    Row row = row(table(Agreement.ofRatings(ratings)), "s", "raw_agreement");
    assertThat(row.<Double>getAs("value")).isEqualTo(1);
    assertThat(row.<Long>getAs("judgements")).isEqualTo(2);
  }

  private static Dataset<Row> table(Dataset<Row> judgements) {
    return Agreement.table(Agreement.vectors(judgements), 7);
  }

  /** Units with two judgements of equal chance to be −1 or 1. */
  private static Dataset<Row> random(int units) {
    return SparkTestSession.get()
        .range(0, 2L * units, 1, 3)
        .selectExpr(
            "'s' AS source",
            "'comparison' AS kind",
            "string(id div 2) AS unit",
            "string(id) AS annotator_id",
            "if(pmod(xxhash64(id), 2) = 0, -1D, 1D) AS value");
  }

  private static Dataset<Row> judgements(String kind, String rows) {
    return SparkTestSession.get()
        .sql("SELECT * FROM VALUES " + rows + " AS rows(source, unit, annotator_id, value)")
        .withColumn("value", col("value").cast("double"))
        .withColumn("kind", lit(kind));
  }

  private static Row row(Dataset<Row> table, String source, String metric) {
    return table
        .where(col("source").equalTo(source).and(col("metric").equalTo(metric)))
        .collectAsList()
        .get(0);
  }

  private static List<String> metrics(Dataset<Row> table, String source) {
    return table.where(col("source").equalTo(source)).collectAsList().stream()
        .map(row -> row.<String>getAs("metric"))
        .toList();
  }
}
