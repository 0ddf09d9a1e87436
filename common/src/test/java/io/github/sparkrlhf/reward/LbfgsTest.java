package io.github.sparkrlhf.reward;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;

class LbfgsTest {
  @Test
  void findsTheMinimumOfAnIllConditionedQuadratic() {
    double[] curvature = {1, 10, 100, 1000, 1e4};
    AtomicInteger calls = new AtomicInteger();

    double[] minimum =
        Lbfgs.minimise(
            (point, gradient) -> {
              calls.incrementAndGet();
              double value = 0;
              for (int i = 0; i < point.length; i++) {
                double distance = point[i] - i;
                value += curvature[i] / 2 * distance * distance;
                gradient[i] = curvature[i] * distance;
              }
              return value;
            },
            5,
            100,
            1e-10);

    for (int i = 0; i < minimum.length; i++) {
      assertThat(minimum[i]).isCloseTo(i, within(1e-4));
    }
    assertThat(calls.get()).isLessThan(100);
  }

  @Test
  void findsWhereTheLogOddsMeetTheShareOfVotes() {
    // Three votes of four for x, and the penalty 0.01 x^2 / 2: sigma(x) - 0.75 + 0.01 x = 0.
    double[] minimum =
        Lbfgs.minimise(
            (point, gradient) -> {
              gradient[0] = 1 / (1 + Math.exp(-point[0])) - 0.75 + 0.01 * point[0];
              return ProperScores.logLoss(point[0], 0.75) + 0.005 * point[0] * point[0];
            },
            1,
            50,
            1e-12);

    assertThat(1 / (1 + Math.exp(-minimum[0])) + 0.01 * minimum[0]).isCloseTo(0.75, within(1e-9));
  }

  @Test
  void staysWhereTheGradientIsZero() {
    assertThat(Lbfgs.minimise((point, gradient) -> 3, 2, 10, 1e-6)).containsExactly(0, 0);
  }
}
