package io.github.sparkrlhf.reward;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.stream.DoubleStream;
import java.util.stream.IntStream;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.Size;
import org.junit.jupiter.api.Test;

class BestOfNTest {
  @Test
  void theGreatestOfTwoOfThree() {
    // {1,2} {1,4} {2,4}: 2, 4, 4.
    assertThat(BestOfN.expectedMaxima(new double[] {4, 1, 2}, 3))
        .containsExactly(new double[] {7 / 3.0, 10 / 3.0, 4}, within(1e-12));
  }

  @Property(tries = 100)
  void isTheMeanOverAllSubsets(@ForAll @Size(min = 1, max = 9) double[] drawn) {
    double[] scores = DoubleStream.of(drawn).map(score -> score % 10).toArray();
    double[] expected = BestOfN.expectedMaxima(scores, scores.length);
    for (int n = 1; n <= scores.length; n++) {
      int size = n;
      double mean =
          IntStream.range(1, 1 << scores.length)
              .filter(subset -> Integer.bitCount(subset) == size)
              .mapToDouble(
                  subset ->
                      IntStream.range(0, scores.length)
                          .filter(i -> (subset >> i & 1) == 1)
                          .mapToDouble(i -> scores[i])
                          .max()
                          .orElseThrow())
              .average()
              .orElseThrow();
      assertThat(expected[n - 1]).isCloseTo(mean, within(1e-9));
    }
  }

  @Test
  void manyResponsesNeitherOverflowNorVanish() {
    double[] scores = IntStream.rangeClosed(1, 3000).asDoubleStream().toArray();
    double[] expected = BestOfN.expectedMaxima(scores, 3000);
    // The expected greatest of n of 1 … m is n(m + 1)/(n + 1).
    for (int n : new int[] {1, 2, 1500, 2999, 3000}) {
      assertThat(expected[n - 1]).isCloseTo(n * 3001.0 / (n + 1), within(1e-6));
    }
  }

  @Test
  void theBoundIsZeroForOneAndGrowsWithTheLogarithm() {
    assertThat(BestOfN.klBound(1)).isZero();
    assertThat(BestOfN.klBound(2)).isCloseTo(0.19315, within(1e-5));
    assertThat(BestOfN.klBound(64)).isCloseTo(3.17451, within(1e-5));
  }
}
