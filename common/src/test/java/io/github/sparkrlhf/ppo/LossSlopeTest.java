package io.github.sparkrlhf.ppo;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.github.sparkrlhf.spark.CounterRandom;
import java.util.function.ToDoubleFunction;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

/** The gradient of every loss against its finite differences, token by token. */
class LossSlopeTest {
  private static final int[] LENGTHS = {5, 1, 8};
  private static final int PADDED = 9;
  private static final double STEP = 1e-3;

  private final CounterRandom random = new CounterRandom(5, "loss slope test");

  @ParameterizedTest
  @CsvSource({
    "TOKEN, TOKENS",
    "TOKEN, RESPONSES",
    "TOKEN, MAX_TOKENS",
    "RESPONSE, RESPONSES",
    "RESPONSE, TOKENS",
    "RESPONSE_MEAN, RESPONSES",
    "RESPONSE_MEAN, MAX_TOKENS"
  })
  void item16PolicyLosses(RatioLevel level, Averaging averaging) {
    PpoLoss.Clip clip = new PpoLoss.Clip(0.1, 0.3, 0.2, 1.5);
    float[][] old = noise(0, -2, 1);
    float[][] current = plus(old, noise(1, 0, 0.25));
    float[][] advantages = noise(2, 0, 1);
    PpoLoss.Weighting weighting = PpoLoss.Weighting.of(averaging, LENGTHS, PADDED, 3.5);
    assertSlope(
        current,
        PpoLoss.policy(current, old, advantages, clip, level, weighting).gradient(),
        moved -> PpoLoss.policy(moved, old, advantages, clip, level, weighting).loss());
  }

  @ParameterizedTest
  @EnumSource(KlEstimator.class)
  void item9KlLosses(KlEstimator estimator) {
    float[][] reference = noise(3, -2, 1);
    float[][] current = plus(reference, noise(4, 0, 1));
    PpoLoss.Weighting weighting = PpoLoss.Weighting.of(Averaging.RESPONSES, LENGTHS, PADDED, 3);
    assertSlope(
        current,
        PpoLoss.kl(current, reference, estimator, weighting).gradient(),
        moved -> PpoLoss.kl(moved, reference, estimator, weighting).loss());
  }

  @Test
  void item17ValueLosses() {
    float[][] old = noise(5, 0, 1);
    float[][] current = plus(old, noise(6, 0, 0.3));
    float[][] returns = noise(7, 0, 1);
    assertSlope(
        current,
        PpoLoss.value(current, old, returns, LENGTHS, PpoLoss.Clip.DEFAULT, 14).gradient(),
        moved -> PpoLoss.value(moved, old, returns, LENGTHS, PpoLoss.Clip.DEFAULT, 14).loss());
  }

  /** The distances from all kinks are larger than the step: the seed sees to that. */
  private static void assertSlope(
      float[][] at, double[][] gradient, ToDoubleFunction<float[][]> loss) {
    double norm = 0;
    for (int row = 0; row < at.length; row++) {
      for (int t = 0; t < at[row].length; t++) {
        float[][] up = copy(at);
        float[][] down = copy(at);
        up[row][t] += (float) STEP;
        down[row][t] -= (float) STEP;
        double slope =
            (loss.applyAsDouble(up) - loss.applyAsDouble(down))
                / ((double) up[row][t] - down[row][t]);
        assertThat(gradient[row][t]).as("%s, %s", row, t).isCloseTo(slope, within(2e-4));
        norm += slope * slope;
      }
    }
    assertThat(norm).isPositive();
  }

  private static float[][] copy(float[][] rows) {
    float[][] copy = rows.clone();
    for (int row = 0; row < copy.length; row++) {
      copy[row] = copy[row].clone();
    }
    return copy;
  }

  private float[][] noise(int purpose, double mean, double deviation) {
    float[][] noise = new float[LENGTHS.length][PADDED];
    for (int row = 0; row < noise.length; row++) {
      for (int t = 0; t < PADDED; t++) {
        noise[row][t] = (float) (mean + deviation * random.gaussian(purpose, row, t));
      }
    }
    return noise;
  }

  private static float[][] plus(float[][] first, float[][] second) {
    float[][] sum = copy(first);
    for (int row = 0; row < sum.length; row++) {
      for (int t = 0; t < PADDED; t++) {
        sum[row][t] += second[row][t];
      }
    }
    return sum;
  }
}
