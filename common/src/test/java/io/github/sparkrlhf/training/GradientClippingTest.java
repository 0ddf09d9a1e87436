package io.github.sparkrlhf.training;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.Arrays;
import org.junit.jupiter.api.Test;

class GradientClippingTest {
  @Test
  void scalesDownToTheMaximum() {
    float[] gradient = {3, -4};
    assertThat(GradientClipping.globalNorm(gradient, 1)).isEqualTo(5);
    assertThat(gradient).containsExactly(new float[] {0.6f, -0.8f}, within(1e-6f));
    assertThat(GradientClipping.globalNorm(gradient, 1)).isCloseTo(1, within(1e-6));
  }

  @Test
  void leavesAGradientWithinTheMaximumAlone() {
    float[] gradient = {3, -4};
    assertThat(GradientClipping.globalNorm(gradient, 5)).isEqualTo(5);
    assertThat(gradient).containsExactly(3, -4);
  }

  @Test
  void accumulatesInDoublePrecision() {
    float[] gradient = new float[1 << 25];
    Arrays.fill(gradient, 1);
    // A float accumulator stops growing at 2^24.
    assertThat(GradientClipping.globalNorm(gradient, Double.POSITIVE_INFINITY))
        .isEqualTo(Math.sqrt(1 << 25));
  }

  @Test
  void reportsANormThatIsNotFiniteAndScalesNothing() {
    float[] nan = {1, Float.NaN};
    assertThat(GradientClipping.globalNorm(nan, 0.5)).isNaN();
    assertThat(nan[0]).isEqualTo(1);
    float[] infinite = {1, Float.POSITIVE_INFINITY};
    assertThat(GradientClipping.globalNorm(infinite, 0.5)).isInfinite();
    assertThat(infinite[0]).isEqualTo(1);
    assertThatThrownBy(() -> GradientClipping.globalNorm(new float[1], 0))
        .isInstanceOf(IllegalArgumentException.class);
  }
}
