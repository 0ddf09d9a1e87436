package io.github.sparkrlhf.policy;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.github.sparkrlhf.spark.CounterRandom;
import org.junit.jupiter.api.Test;

class TokenDistributionTest {
  private static final int OFFSET = 3;
  private static final float[] LOGITS = {
    9, 9, 9, 0.3f, -1.2f, 2.1f, 0f, 1.4f, -0.5f, 2.0f, 0.9f, -2.5f, 1.1f, 9, 9
  };
  private static final int SIZE = 10;

  @Test
  void drawsOccurAsOftenAsTheSoftmaxSays() {
    double temperature = 1.3;
    int draws = 20_000;
    TokenDistribution distribution = distribution(LOGITS, OFFSET, SIZE, temperature);
    CounterRandom random = new CounterRandom(5, "token distribution test");
    int[] counts = new int[SIZE];
    for (int i = 0; i < draws; i++) {
      counts[distribution.draw(random.uniform(i))]++;
    }
    double total = 0;
    for (int i = 0; i < SIZE; i++) {
      total += Math.exp(LOGITS[OFFSET + i] / temperature);
    }
    double chiSquare = 0;
    for (int i = 0; i < SIZE; i++) {
      double probability = Math.exp(LOGITS[OFFSET + i] / temperature) / total;
      double expected = draws * probability;
      chiSquare += (counts[i] - expected) * (counts[i] - expected) / expected;
      assertThat(distribution.logProbability(i)).isCloseTo(Math.log(probability), within(1e-9));
    }
    // Nine degrees of freedom: a right sampler exceeds 34 once in ten thousand seeds.
    assertThat(chiSquare).isLessThan(34);
  }

  @Test
  void anyNumberDrawsATokenWithMass() {
    float[] logits = {Float.NEGATIVE_INFINITY, 0, Float.NEGATIVE_INFINITY, 0, -200};
    TokenDistribution distribution = distribution(logits, 0, 5, 0.5);
    assertThat(distribution.draw(0x1.0p-54)).isEqualTo(1);
    assertThat(distribution.draw(0.4999)).isEqualTo(1);
    assertThat(distribution.draw(0.5001)).isEqualTo(3);
    assertThat(distribution.draw(1 - 0x1.0p-53)).isIn(1, 3);
  }

  @Test
  void temperatureZeroTakesTheMostLikelyTokenWithCertainty() {
    TokenDistribution distribution = distribution(LOGITS, OFFSET, SIZE, 0);
    assertThat(distribution.draw(0.001)).isEqualTo(2);
    assertThat(distribution.draw(0.999)).isEqualTo(2);
    assertThat(distribution.logProbability(2)).isZero();
  }

  @Test
  void powersOfEAreThoseOfTheLibrary() {
    for (double x = 0; x > -690; x -= 0.0137) {
      double expected = StrictMath.exp(x);
      assertThat(TokenDistribution.exp(x)).isCloseTo(expected, within(3e-10 * expected));
    }
    assertThat(TokenDistribution.exp(0)).isEqualTo(1);
    assertThat(TokenDistribution.exp(-1e9)).isZero();
    assertThat(TokenDistribution.exp(Double.NEGATIVE_INFINITY)).isZero();
  }

  @Test
  void logitsThatAreNotNumbersAreRefused() {
    assertThatThrownBy(() -> distribution(new float[] {1, Float.NaN, 0}, 0, 3, 1))
        .hasMessage("Cannot sample: the model's logits are not numbers");
  }

  private static TokenDistribution distribution(
      float[] logits, int offset, int size, double temperature) {
    TokenDistribution distribution = new TokenDistribution();
    distribution.set(logits, offset, size, temperature);
    return distribution;
  }
}
