package io.github.sparkrlhf.training;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.github.sparkrlhf.training.LearningRateSchedule.Decay;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;

class LearningRateScheduleTest {
  @Test
  void warmsUpThenStaysConstant() {
    LearningRateSchedule schedule = new LearningRateSchedule(1, 3, 10, Decay.CONSTANT, 0);
    assertThat(rates(schedule, 6)).containsExactly(0.25, 0.5, 0.75, 1, 1, 1);
  }

  @Test
  void linearDecayWithoutWarmupIsThatOfTransformers() {
    LearningRateSchedule schedule = new LearningRateSchedule(2, 0, 4, Decay.LINEAR, 0);
    assertThat(rates(schedule, 6)).containsExactly(2, 1.5, 1, 0.5, 0, 0);
  }

  @Test
  void linearDecayEndsAtTheFinalShare() {
    LearningRateSchedule schedule = new LearningRateSchedule(2, 1, 5, Decay.LINEAR, 0.5);
    assertThat(rates(schedule, 7)).containsExactly(1, 2, 1.75, 1.5, 1.25, 1, 1);
  }

  @Test
  void cosineDecayIsHalfAPeriod() {
    LearningRateSchedule schedule = new LearningRateSchedule(1, 0, 4, Decay.COSINE, 0.1);
    double root = Math.sqrt(0.5);
    assertThat(rates(schedule, 6))
        .containsExactly(
            new double[] {
              1, 0.1 + 0.9 * (1 + root) / 2, 0.55, 0.1 + 0.9 * (1 - root) / 2, 0.1, 0.1
            },
            within(1e-12));
  }

  @Test
  void refusesWhatIsNoSchedule() {
    assertThatThrownBy(() -> new LearningRateSchedule(-1, 0, 1, Decay.LINEAR, 0))
        .isInstanceOf(IllegalArgumentException.class);
    assertThatThrownBy(() -> new LearningRateSchedule(1, 5, 4, Decay.LINEAR, 0))
        .isInstanceOf(IllegalArgumentException.class);
    assertThatThrownBy(() -> new LearningRateSchedule(1, 0, 4, Decay.LINEAR, 1.5))
        .isInstanceOf(IllegalArgumentException.class);
  }

  private static double[] rates(LearningRateSchedule schedule, int steps) {
    return LongStream.range(0, steps).mapToDouble(schedule::at).toArray();
  }
}
