package io.github.sparkrlhf.ppo;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.github.sparkrlhf.spark.JobFailure;
import java.util.List;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.DoubleRange;
import net.jqwik.api.constraints.Size;
import org.junit.jupiter.api.Test;

class KlTest {
  @Test
  void estimatorsByHand() {
    assertThat(KlEstimator.K1.of(-0.5)).isEqualTo(-0.5);
    assertThat(KlEstimator.K2.of(-0.5)).isEqualTo(0.125);
    assertThat(KlEstimator.K3.of(-0.5)).isCloseTo(Math.exp(0.5) - 1.5, within(1e-12));
    assertThat(KlEstimator.K1.perToken(new float[] {-1, -2, 9}, new float[] {-3, -1, 9}, 2))
        .containsExactly(2, -1);
  }

  @Test
  void k1AndK3AreUnbiased() {
    double[] policy = {0.5, 0.3, 0.2};
    double[] reference = {0.1, 0.6, 0.3};
    double exact = 0;
    double k1 = 0;
    double k3 = 0;
    for (int y = 0; y < 3; y++) {
      double logRatio = Math.log(policy[y] / reference[y]);
      exact += policy[y] * logRatio;
      k1 += policy[y] * KlEstimator.K1.of(logRatio);
      k3 += policy[y] * KlEstimator.K3.of(logRatio);
      assertThat(KlEstimator.K3.of(logRatio)).isPositive();
    }
    assertThat(k1).isCloseTo(exact, within(1e-12));
    assertThat(k3).isCloseTo(exact, within(1e-12));
  }

  @Test
  void k3StaysFiniteWhereTheExponentialWouldOverflow() {
    assertThat(KlEstimator.K3.of(-1000)).isEqualTo(Math.exp(20) - 1 - 1000);
    assertThat(KlEstimator.K3.of(1000)).isCloseTo(999, within(1e-6));
  }

  @Property(tries = 300)
  void tokenRewardsSumUpToTheScoreMinusThePenalty(
      @ForAll @Size(min = 1, max = 50) List<@DoubleRange(min = -20, max = 20) Double> tokens,
      @ForAll @DoubleRange(min = -100, max = 100) double score,
      @ForAll @DoubleRange(min = 0, max = 1) double beta) {
    double[] kl = tokens.stream().mapToDouble(Double::doubleValue).toArray();
    float[] rewards = TokenRewards.of(kl, score, beta);
    double sum = 0;
    double expected = score;
    for (int t = 0; t < kl.length; t++) {
      sum += rewards[t];
      expected -= beta * kl[t];
    }
    assertThat(sum).isCloseTo(expected, within(1e-3));
  }

  @Test
  void theScoreSitsOnTheLastValidToken() {
    assertThat(TokenRewards.of(new double[] {1, -2, 3}, 10, 0.5)).containsExactly(-0.5f, 1, 8.5f);
    assertThat(TokenRewards.of(new double[] {1}, 10, 0.5)).containsExactly(9.5f);
  }

  @Test
  void rewardsThatDoNotAddUpAreAFailure() {
    double[] kl = {1, 2};
    assertThatThrownBy(() -> TokenRewards.requireSum(new float[] {-0.1f, 0.8f}, kl, 1.1, 0.1))
        .isInstanceOf(JobFailure.class)
        .hasMessageStartingWith("Cannot reward a response");
    TokenRewards.requireSum(new float[] {-0.1f, 0.9f}, kl, 1.1, 0.1);
    assertThatThrownBy(() -> TokenRewards.of(new double[] {Double.NaN}, 1, 0.1))
        .isInstanceOf(JobFailure.class);
    assertThatThrownBy(() -> TokenRewards.of(kl, Double.NaN, 0.1)).isInstanceOf(JobFailure.class);
    assertThatThrownBy(() -> TokenRewards.of(new double[0], 1, 0.1))
        .isInstanceOf(IllegalArgumentException.class);
  }

  @Test
  void theAdaptiveCoefficientFollowsTheTarget() {
    KlController controller = KlController.adaptive(0.2, 6, 10_000);
    // Ziegler's rule: the relative error is clipped to ±0.2.
    assertThat(controller.after(6.6, 500).coefficient())
        .isCloseTo(0.2 * (1 + 0.1 * 500 / 10_000), within(1e-12));
    assertThat(controller.after(60, 500).coefficient())
        .isCloseTo(0.2 * (1 + 0.2 * 500 / 10_000), within(1e-12));
    assertThat(controller.after(0, 500).coefficient())
        .isCloseTo(0.2 * (1 - 0.2 * 500 / 10_000), within(1e-12));
    assertThat(controller.after(6, 500).coefficient()).isEqualTo(0.2);
  }

  @Test
  void aFixedCoefficientStays() {
    assertThat(KlController.fixed(0.05).after(100, 1_000_000).coefficient()).isEqualTo(0.05);
    assertThat(KlController.fixed(0.05).withCoefficient(0.1).coefficient()).isEqualTo(0.1);
  }

  @Test
  void controllersRefuseNonsense() {
    assertThatThrownBy(() -> KlController.fixed(0.05).after(Double.NaN, 1))
        .isInstanceOf(JobFailure.class);
    assertThatThrownBy(() -> KlController.fixed(-1)).isInstanceOf(IllegalArgumentException.class);
    assertThatThrownBy(() -> KlController.adaptive(1, 0, 1))
        .isInstanceOf(IllegalArgumentException.class);
  }

  @Test
  void stopsAboveOneAndAHalfTimesTheTarget() {
    EarlyStop stop = new EarlyStop(0.02);
    assertThat(stop.stopsAt(0.0299)).isFalse();
    assertThat(stop.stopsAt(0.0301)).isTrue();
    assertThat(new EarlyStop(Double.POSITIVE_INFINITY).stopsAt(1e9)).isFalse();
    assertThatThrownBy(() -> stop.stopsAt(Double.NaN)).isInstanceOf(JobFailure.class);
  }
}
