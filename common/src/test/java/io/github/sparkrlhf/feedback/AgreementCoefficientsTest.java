package io.github.sparkrlhf.feedback;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.DoubleBinaryOperator;
import java.util.stream.DoubleStream;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import org.junit.jupiter.api.Test;

class AgreementCoefficientsTest {
  private static final double MISSING = Double.NaN;

  /** Ten subjects, fourteen raters, five categories; the example of Fleiss' κ in many textbooks. */
  private static final int[][] FOURTEEN_RATERS = {
    {0, 0, 0, 0, 14},
    {0, 2, 6, 4, 2},
    {0, 0, 3, 5, 6},
    {0, 3, 9, 2, 0},
    {2, 2, 8, 1, 1},
    {7, 7, 0, 0, 0},
    {3, 2, 6, 3, 0},
    {2, 5, 3, 2, 2},
    {6, 5, 2, 1, 0},
    {0, 2, 2, 3, 7}
  };

  /** Krippendorff, Computing Krippendorff's Alpha-Reliability (2011), example C: observers. */
  private static final double[][] FOUR_OBSERVERS = {
    {1, 2, 3, 3, 2, 1, 4, 1, 2, MISSING, MISSING, MISSING},
    {1, 2, 3, 3, 2, 2, 4, 1, 2, 5, MISSING, 3},
    {MISSING, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, MISSING},
    {1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, MISSING}
  };

  @Test
  void kappaEqualsTheWorkedExample() {
    CountVectors.Builder vectors = new CountVectors.Builder();
    for (int[] counts : FOURTEEN_RATERS) {
      DoubleStream.Builder judgements = DoubleStream.builder();
      for (int category = 0; category < counts.length; category++) {
        for (int i = 0; i < counts[category]; i++) {
          judgements.add(category);
        }
      }
      vectors.add(judgements.build().toArray(), 1);
    }

    AgreementCoefficients coefficients = AgreementCoefficients.of(vectors.build());

    assertThat(coefficients.rawAgreement()).isCloseTo(0.378, within(5e-4));
    assertThat(coefficients.fleissKappa()).isCloseTo(0.210, within(5e-4));
  }

  @Test
  void alphaEqualsTheWorkedExample() {
    List<double[]> units = new ArrayList<>();
    for (int unit = 0; unit < FOUR_OBSERVERS[0].length; unit++) {
      int column = unit;
      units.add(
          Arrays.stream(FOUR_OBSERVERS)
              .mapToDouble(observer -> observer[column])
              .filter(value -> !Double.isNaN(value))
              .toArray());
    }

    AgreementCoefficients coefficients = coefficients(units);

    assertThat(coefficients.alphaNominal()).isCloseTo(0.743, within(5e-4));
    assertThat(coefficients.alphaOrdinal()).isCloseTo(0.815, within(5e-4));
    assertThat(coefficients.alphaInterval()).isCloseTo(0.849, within(5e-4));
  }

  @Property(tries = 300)
  void alphaIsWhatTheDefinitionSays(@ForAll("units") List<double[]> units) {
    AgreementCoefficients coefficients = coefficients(units);
    double[] all =
        units.stream().filter(u -> u.length > 1).flatMapToDouble(Arrays::stream).toArray();

    assertSame(coefficients.alphaNominal(), alpha(units, (a, b) -> a == b ? 0 : 1));
    assertSame(coefficients.alphaInterval(), alpha(units, (a, b) -> (a - b) * (a - b)));
    assertSame(coefficients.alphaOrdinal(), alpha(units, (a, b) -> ordinal(all, a, b)));
  }

  @Property(tries = 300)
  void perfectAgreementIsOne(@ForAll("units") List<double[]> units) {
    List<double[]> perfect = new ArrayList<>();
    for (double[] unit : units) {
      double[] same = unit.clone();
      Arrays.fill(same, unit[0] / 10);
      perfect.add(same);
    }
    AgreementCoefficients coefficients = coefficients(perfect);
    boolean varied =
        perfect.stream().filter(u -> u.length > 1).mapToDouble(u -> u[0]).distinct().count() > 1;
    Double expected = varied ? 1 : Double.NaN;

    assertThat(coefficients.fleissKappa()).isEqualTo(expected);
    assertThat(coefficients.alphaNominal()).isEqualTo(expected);
    assertThat(coefficients.alphaOrdinal()).isEqualTo(expected);
    assertThat(coefficients.alphaInterval()).isEqualTo(expected);
  }

  @Property(tries = 300)
  void namesOfCategoriesDoNotMatterToNominalCoefficients(@ForAll("units") List<double[]> units) {
    AgreementCoefficients before = coefficients(units);
    AgreementCoefficients after =
        coefficients(
            units.stream().map(u -> Arrays.stream(u).map(v -> (v * 3 + 1) % 5).toArray()).toList());

    assertSame(after.rawAgreement(), before.rawAgreement());
    assertSame(after.fleissKappa(), before.fleissKappa());
    assertSame(after.alphaNominal(), before.alphaNominal());
  }

  @Property(tries = 300)
  void unitsJudgedOnceChangeNothing(@ForAll("units") List<double[]> units) {
    List<double[]> more = new ArrayList<>(units);
    more.add(new double[] {4});
    more.add(new double[] {7});

    assertThat(coefficients(more)).isEqualTo(coefficients(units));
  }

  @Property(tries = 100)
  void unitsCountedTogetherAreAsUnitsCountedOneByOne(@ForAll("units") List<double[]> units) {
    CountVectors.Builder together = new CountVectors.Builder();
    List<double[]> apart = new ArrayList<>();
    for (double[] unit : units) {
      together.add(sorted(unit), 3);
      apart.addAll(List.of(unit, unit, unit));
    }
    AgreementCoefficients expected = coefficients(apart);
    AgreementCoefficients actual = AgreementCoefficients.of(together.build());

    assertSame(actual.rawAgreement(), expected.rawAgreement());
    assertSame(actual.fleissKappa(), expected.fleissKappa());
    assertSame(actual.alphaOrdinal(), expected.alphaOrdinal());
  }

  @Test
  void nothingIsDefinedWithoutUnits() {
    assertThat(coefficients(List.of(new double[] {1})).rawAgreement()).isNaN();
  }

  @Provide
  Arbitrary<List<double[]>> units() {
    return Arbitraries.integers()
        .between(0, 4)
        .map(i -> (double) i)
        .list()
        .ofMinSize(1)
        .ofMaxSize(5)
        .map(unit -> unit.stream().mapToDouble(v -> v).toArray())
        .list()
        .ofMinSize(1)
        .ofMaxSize(8);
  }

  private static AgreementCoefficients coefficients(List<double[]> units) {
    CountVectors.Builder vectors = new CountVectors.Builder();
    units.forEach(unit -> vectors.add(sorted(unit), 1));
    return AgreementCoefficients.of(vectors.build());
  }

  private static double[] sorted(double[] unit) {
    return Arrays.stream(unit).sorted().toArray();
  }

  /** 1 − D_o / D_e by all pairs of judgements. */
  private static double alpha(List<double[]> units, DoubleBinaryOperator difference) {
    List<double[]> pairable = units.stream().filter(u -> u.length > 1).toList();
    double[] all = pairable.stream().flatMapToDouble(Arrays::stream).toArray();
    double observed =
        pairable.stream().mapToDouble(u -> sumOverPairs(u, difference) / (u.length - 1)).sum();
    double expected = sumOverPairs(all, difference) / (all.length - 1);
    return expected > 0 ? 1 - observed / expected : Double.NaN;
  }

  private static double sumOverPairs(double[] values, DoubleBinaryOperator difference) {
    double sum = 0;
    for (double a : values) {
      for (double b : values) {
        sum += difference.applyAsDouble(a, b);
      }
    }
    return sum;
  }

  /** The ordinal metric: (Σ n_g from a to b, less half of n_a and n_b)². */
  private static double ordinal(double[] all, double a, double b) {
    double between =
        Arrays.stream(all).filter(v -> v >= Math.min(a, b) && v <= Math.max(a, b)).count();
    double ends =
        Arrays.stream(all).filter(v -> v == a).count()
            + Arrays.stream(all).filter(v -> v == b).count();
    return a == b ? 0 : (between - ends / 2) * (between - ends / 2);
  }

  private static void assertSame(double actual, double expected) {
    if (Double.isNaN(expected)) {
      assertThat(actual).isNaN();
    } else {
      assertThat(actual).isCloseTo(expected, within(1e-9));
    }
  }
}
