package io.github.sparkrlhf.training;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.Map;
import org.junit.jupiter.api.Test;

class NesterovMomentumTest {
  @Test
  void stepsAsPyTorchDoes() {
    // torch.optim.SGD([1.], lr=0.7, momentum=0.9, nesterov=True) with gradients 1, 0.5:
    // v = 1, w = 1 - 0.7 (1 + 0.9); v = 1.4, w = w - 0.7 (0.5 + 0.9 * 1.4).
    NesterovMomentum optimizer = new NesterovMomentum(1, 0.9);
    float[] weights = {1};

    optimizer.step(weights, new float[] {1}, 0.7);
    assertThat(weights[0]).isCloseTo(-0.33f, within(1e-6f));
    optimizer.step(weights, new float[] {0.5f}, 0.7);
    assertThat(weights[0]).isCloseTo(-1.562f, within(1e-6f));
  }

  @Test
  void goesOnFromItsState() {
    NesterovMomentum straight = new NesterovMomentum(2, 0.5);
    float[] weights = {1, 2};
    straight.step(weights, new float[] {3, 4}, 0.1);
    float[] copy = weights.clone();
    NesterovMomentum resumed = new NesterovMomentum(2, 0.5);
    resumed.restore(straight.moments(), straight.steps());

    straight.step(weights, new float[] {1, -1}, 0.1);
    resumed.step(copy, new float[] {1, -1}, 0.1);

    assertThat(copy).isEqualTo(weights);
    assertThat(resumed.steps()).isEqualTo(2);
    assertThatThrownBy(() -> resumed.restore(Map.of("first_moment", new float[2]), 1))
        .isInstanceOf(IllegalArgumentException.class);
  }
}
