package io.github.sparkrlhf.reward;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.github.sparkrlhf.spark.CounterRandom;
import io.github.sparkrlhf.spark.JobFailure;
import io.github.sparkrlhf.spark.SparkTestSession;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.stream.IntStream;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class CalibrationTest {
  private static final SparkSession SPARK = SparkTestSession.get();
  private static final int PAIRS = 4000;

  /** Differences of a model that is {@code factor} times too sure, and votes. */
  private static double[][] overconfident(double factor, int seed) {
    CounterRandom random = new CounterRandom(seed, "calibration test");
    double[] differences = new double[PAIRS];
    double[] votes = new double[PAIRS];
    for (int i = 0; i < PAIRS; i++) {
      double logOdds = random.gaussian(i, 0);
      differences[i] = factor * logOdds;
      votes[i] = random.uniform(i, 1) < 1 / (1 + Math.exp(-logOdds)) ? 1 : 0;
    }
    return new double[][] {differences, votes};
  }

  @Test
  void temperatureFindsHowMuchTooSureTheModelIs() {
    double[][] pairs = overconfident(3, 1);

    Calibration fitted = Calibration.fit(SPARK, pairs[0], pairs[1]);

    assertThat(fitted.temperature().temperature()).isCloseTo(3, within(0.2));
    double before = error(PairProbability.UNCALIBRATED, pairs);
    assertThat(before).isGreaterThan(0.1);
    assertThat(error(fitted.temperature(), pairs)).isLessThan(0.03);
    assertThat(error(fitted.isotonic(), pairs)).isLessThan(0.03);
  }

  @Test
  void temperatureSolvesItsEquation() {
    // One pair of soft votes: σ(2 / T) = 0.75, so T = 2 / ln 3.
    Calibration fitted = Calibration.fit(SPARK, new double[] {2}, new double[] {0.75});

    assertThat(fitted.temperature().temperature()).isCloseTo(2 / Math.log(3), within(1e-9));
  }

  @Test
  void temperatureOfAModelThatIsAlwaysRightOrAlwaysWrongIsBounded() {
    double[] differences = {1, -2, 3};
    double[] right = {1, 0, 1};
    double[] wrong = {0, 1, 0};

    assertThat(Calibration.fit(SPARK, differences, right).temperature().temperature())
        .isCloseTo(TemperatureScaling.LOWEST, within(1e-9));
    assertThat(Calibration.fit(SPARK, differences, wrong).temperature().temperature())
        .isCloseTo(TemperatureScaling.HIGHEST, within(1e-6));
  }

  @Test
  void isotonicPoolsViolatorsAsByHand() {
    // Shares 0.6, 0.9, 0.7 at 1, 2, 3: the last two are pooled to 0.8. At 0 it is ½ by symmetry.
    Calibration fitted =
        Calibration.fit(SPARK, new double[] {2, 1, 3}, new double[] {0.9, 0.6, 0.7});

    IsotonicCalibration isotonic = fitted.isotonic();
    assertThat(isotonic.probability(1)).isCloseTo(0.6, within(1e-12));
    assertThat(isotonic.probability(2)).isCloseTo(0.8, within(1e-12));
    assertThat(isotonic.probability(2.5)).isCloseTo(0.8, within(1e-12));
    assertThat(isotonic.probability(9)).isCloseTo(0.8, within(1e-12));
    assertThat(isotonic.probability(1.5)).as("linear between steps").isCloseTo(0.7, within(1e-12));
    assertThat(isotonic.probability(0)).isEqualTo(0.5);
    assertThat(isotonic.probability(-2)).isCloseTo(0.2, within(1e-12));
  }

  @Test
  void isotonicIsNeverCertainSoThatTheLogLossIsFinite() {
    Calibration fitted =
        Calibration.fit(SPARK, new double[] {1, 2, 3, 4}, new double[] {1, 1, 1, 1});

    assertThat(fitted.isotonic().probability(4)).isCloseTo(1 - 1.0 / 6, within(1e-12));
  }

  @Test
  void calibrationIsMonotoneAndOddAndKeepsWhoWins() {
    double[][] pairs = overconfident(0.5, 2);
    for (PairProbability method : Calibration.fit(SPARK, pairs[0], pairs[1]).methods()) {
      double last = Double.NEGATIVE_INFINITY;
      for (double difference = -4; difference <= 4; difference += 0.01) {
        double logOdds = method.logOdds(difference);
        assertThat(logOdds).isFinite().isGreaterThanOrEqualTo(last);
        assertThat(logOdds).isEqualTo(-method.logOdds(-difference));
        last = logOdds;
      }
      boolean strict = !method.method().equals(IsotonicCalibration.METHOD);
      for (double difference : pairs[0]) {
        double sign = Math.signum(method.logOdds(difference));
        assertThat(sign == Math.signum(difference) || (!strict && sign == 0)).isTrue();
      }
    }
  }

  @Test
  void neitherTheOrderOfPairsNorThatOfResponsesChangesABit() {
    double[][] pairs = overconfident(2, 3);
    List<Integer> order = Arrays.asList(IntStream.range(0, PAIRS).boxed().toArray(Integer[]::new));
    Collections.reverse(order);
    double[] differences = order.stream().mapToDouble(i -> turned(i) * pairs[0][i]).toArray();
    double[] votes =
        order.stream().mapToDouble(i -> turned(i) < 0 ? 1 - pairs[1][i] : pairs[1][i]).toArray();

    Calibration first = Calibration.fit(SPARK, pairs[0], pairs[1]);
    Calibration second = Calibration.fit(SPARK, differences, votes);

    assertThat(second.temperature()).isEqualTo(first.temperature());
    assertThat(second.isotonic().probabilities()).isEqualTo(first.isotonic().probabilities());
    assertThat(error(first.isotonic(), new double[][] {differences, votes}))
        .isEqualTo(error(first.isotonic(), pairs));
  }

  private static int turned(int pair) {
    return pair % 3 == 0 ? -1 : 1;
  }

  @Test
  void errorAndScoresAsByHand() {
    // Confidences σ(ln 3) = 0.75 twice (seen from both sides) and σ(ln 9) = 0.9 twice.
    double[] differences = {Math.log(3), -Math.log(3), Math.log(9), Math.log(9)};
    double[] votes = {1, 1, 1, 0.5};
    PairProbability plain = PairProbability.UNCALIBRATED;

    ReliabilityCurve mass = ReliabilityCurve.equalMass(plain, differences, votes);
    ReliabilityCurve width = ReliabilityCurve.equalWidth(plain, differences, votes);

    // |0.75 − 0.5| and |0.9 − 0.75|, two pairs each.
    assertThat(mass.expectedCalibrationError()).isCloseTo(0.2, within(1e-12));
    assertThat(width.expectedCalibrationError()).isCloseTo(0.2, within(1e-12));
    assertThat(mass.bins()).hasSize(2);
    assertThat(mass.bins().get(0).n()).isEqualTo(2);
    assertThat(mass.bins().get(0).predicted()).isCloseTo(0.75, within(1e-12));
    assertThat(mass.bins().get(0).observed()).isCloseTo(0.5, within(1e-12));
    assertThat(mass.expectedCalibrationError(new int[] {1, 0, 0, 2}))
        .as("|0.75 − 1| and twice |0.9 − 0.5|")
        .isCloseTo(1.05 / 3, within(1e-12));
    assertThat(ProperScores.brier(0.75, 1)).isEqualTo(0.0625);
    assertThat(ProperScores.logLoss(Math.log(3), 1)).isCloseTo(Math.log(4.0 / 3), within(1e-12));
    assertThat(ProperScores.logLoss(800, 0)).isEqualTo(800);
  }

  @Test
  void binsOfEqualMassHoldEquallyManyPairs() {
    double[][] pairs = overconfident(1, 4);

    List<ReliabilityCurve.Bin> bins =
        ReliabilityCurve.equalMass(PairProbability.UNCALIBRATED, pairs[0], pairs[1]).bins();

    assertThat(bins).hasSize(ReliabilityCurve.BINS);
    assertThat(bins).allSatisfy(bin -> assertThat(bin.n()).isBetween(266L, 267L));
  }

  @Test
  void survivesSavingAndLoading(@TempDir Path directory) throws IOException {
    double[][] pairs = overconfident(2, 5);
    Calibration fitted = Calibration.fit(SPARK, pairs[0], pairs[1]);
    assertThat(Calibration.load(directory)).isEmpty();

    fitted.write(directory);
    Calibration loaded = Calibration.load(directory).orElseThrow();

    assertThat(loaded.pairs()).isEqualTo(PAIRS);
    assertThat(loaded.isotonic().boundaries()).isEqualTo(fitted.isotonic().boundaries());
    assertThat(loaded.isotonic().probabilities()).isEqualTo(fitted.isotonic().probabilities());
    assertThat(loaded.temperature()).isEqualTo(fitted.temperature());
    Files.writeString(directory.resolve(Calibration.FILE), "{\"pairs\": 3, \"temperature\": -1}");
    assertThatThrownBy(() -> Calibration.load(directory))
        .isInstanceOf(JobFailure.class)
        .hasMessageContaining("temperature must be positive");
  }

  @Test
  void refusesToFitNothing() {
    assertThatThrownBy(() -> Calibration.fit(SPARK, new double[0], new double[0]))
        .isInstanceOf(JobFailure.class)
        .hasMessageContaining("there is no pair");
  }

  private static double error(PairProbability method, double[][] pairs) {
    return ReliabilityCurve.equalMass(method, pairs[0], pairs[1]).expectedCalibrationError();
  }
}
