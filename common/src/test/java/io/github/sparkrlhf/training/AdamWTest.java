package io.github.sparkrlhf.training;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.github.sparkrlhf.spark.CounterRandom;
import io.github.sparkrlhf.training.AdamW.Segment;
import io.github.sparkrlhf.training.AdamW.Settings;
import java.util.List;
import org.junit.jupiter.api.Test;

class AdamWTest {
  private static final Settings TORCH_DEFAULTS = new Settings(0.9, 0.999, 1e-8, 0.01);

  @Test
  void firstStepMovesByTheLearningRateAgainstTheSignOfTheGradient() {
    AdamW optimiser = whole(3, new Settings(0.9, 0.999, 1e-8, 0));
    float[] weights = {1, 1, 1};
    optimiser.step(weights, new float[] {4, -0.001f, 0}, 0.1);
    // m̂ = g and v̂ = g² after one step, so that the move is η·g/(|g| + ε).
    assertThat(weights).containsExactly(new float[] {0.9f, 1.1f, 1}, within(1e-5f));
  }

  @Test
  void twoStepsByHand() {
    AdamW optimiser = whole(1, new Settings(0.5, 0.75, 0.5, 0.1));
    float[] weights = {2};
    optimiser.step(weights, new float[] {2}, 0.1);
    // w = 2·0.99; m = 1, v = 1; m̂ = 2, √v̂ = 2: w = 1.98 − 0.1·2/2.5
    assertThat(weights[0]).isCloseTo(1.9f, within(1e-6f));
    optimiser.step(weights, new float[] {-1}, 0.1);
    // w = 1.9·0.99 = 1.881; m = 0, v = 0.75 + 0.25 = 1: no move
    assertThat(weights[0]).isCloseTo(1.881f, within(1e-6f));
    assertThat(optimiser.moments().get("first_moment")).containsExactly(0f);
    assertThat(optimiser.moments().get("second_moment")).containsExactly(1f);
    assertThat(optimiser.steps()).isEqualTo(2);
  }

  @Test
  void followsTheAlgorithmOfThePaperInDoublePrecision() {
    int size = 50;
    AdamW optimiser = whole(size, TORCH_DEFAULTS);
    CounterRandom random = new CounterRandom(7, "adamw test");
    float[] weights = new float[size];
    double[] reference = new double[size];
    double[] m = new double[size];
    double[] v = new double[size];
    for (int i = 0; i < size; i++) {
      weights[i] = (float) random.gaussian(0, i);
      reference[i] = weights[i];
    }
    for (int t = 1; t <= 200; t++) {
      double rate = 1e-2 / t;
      float[] gradient = new float[size];
      for (int i = 0; i < size; i++) {
        gradient[i] = (float) (random.gaussian(t, i) * Math.exp(random.gaussian(1000 + t, i)));
        // Algorithm 2 of Loshchilov and Hutter, with bias-corrected moments written out.
        m[i] = 0.9 * m[i] + 0.1 * gradient[i];
        v[i] = 0.999 * v[i] + 0.001 * (double) gradient[i] * gradient[i];
        double corrected = m[i] / (1 - Math.pow(0.9, t));
        double root = Math.sqrt(v[i] / (1 - Math.pow(0.999, t)));
        reference[i] -= rate * (corrected / (root + 1e-8) + 0.01 * reference[i]);
      }
      optimiser.step(weights, gradient, rate);
    }
    for (int i = 0; i < size; i++) {
      assertThat((double) weights[i]).isCloseTo(reference[i], within(2e-6));
    }
  }

  @Test
  void segmentsScaleTheLearningRateAndMaskTheDecay() {
    List<Segment> segments =
        List.of(
            new Segment(0, 1, 1, true),
            new Segment(1, 1, 1, false),
            new Segment(2, 1, 0.1, true),
            new Segment(3, 1, 0, true));
    AdamW optimiser = new AdamW(4, segments, new Settings(0.9, 0.999, 1e-8, 0.5));
    float[] weights = {1, 1, 1, 1};
    optimiser.step(weights, new float[] {1, 1, 1, 1}, 0.1);
    assertThat(weights)
        .containsExactly(
            new float[] {1 - 0.05f - 0.1f, 1 - 0.1f, 1 - 0.005f - 0.01f, 1}, within(1e-6f));
  }

  @Test
  void aRangeThatBeginsLateStaysAndThenTakesItsFirstStepAsAFirstStep() {
    List<Segment> segments = List.of(new Segment(0, 1, 1, true), new Segment(1, 1, 1, true, 2));
    AdamW optimiser = new AdamW(2, segments, new Settings(0.9, 0.999, 1e-8, 0.5));
    float[] weights = {1, 1};
    optimiser.step(weights, new float[] {1, 1}, 0.1);
    float afterOne = weights[0];
    optimiser.step(weights, new float[] {1, 1}, 0.1);
    assertThat(weights[1]).isEqualTo(1);
    optimiser.step(weights, new float[] {1, 1}, 0.1);
    assertThat(weights[1]).isEqualTo(afterOne);
  }

  @Test
  void aRestoredOptimiserContinuesToTheBit() {
    AdamW straight = whole(2, TORCH_DEFAULTS);
    float[] weights = {1, -1};
    straight.step(weights, new float[] {0.3f, -2}, 0.01);
    AdamW resumed = whole(2, TORCH_DEFAULTS);
    resumed.restore(straight.moments(), straight.steps());
    float[] copy = weights.clone();
    straight.step(weights, new float[] {1, 5}, 0.01);
    resumed.step(copy, new float[] {1, 5}, 0.01);
    assertThat(copy).isEqualTo(weights);
    assertThat(resumed.moments().get("second_moment"))
        .isEqualTo(straight.moments().get("second_moment"));
  }

  @Test
  void refusesSegmentsThatDoNotCoverTheWeightsOnce() {
    for (List<Segment> segments :
        List.of(
            List.of(new Segment(0, 3, 1, true)),
            List.of(new Segment(0, 1, 1, true), new Segment(2, 2, 1, true)),
            List.of(new Segment(0, 3, 1, true), new Segment(2, 2, 1, true)))) {
      assertThatThrownBy(() -> new AdamW(4, segments, TORCH_DEFAULTS))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageContaining("segments");
    }
    assertThatThrownBy(() -> new Settings(1, 0.999, 1e-8, 0))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("beta1");
    assertThatThrownBy(() -> whole(2, TORCH_DEFAULTS).step(new float[2], new float[3], 0.1))
        .isInstanceOf(IllegalArgumentException.class);
  }

  private static AdamW whole(int size, Settings settings) {
    return new AdamW(size, List.of(new Segment(0, size, 1, true)), settings);
  }
}
