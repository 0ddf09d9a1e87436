package io.github.sparkrlhf.ppo;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.github.sparkrlhf.ppo.ScoreSettings.MissingStop;
import io.github.sparkrlhf.ppo.ScoreSettings.Scaling;
import io.github.sparkrlhf.spark.JobFailure;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ScoreSettingsTest {
  private static final double NONE = Double.POSITIVE_INFINITY;

  @Test
  void item6AResponseWithoutStopTokenLosesAPenaltyOrItsScore() {
    ScoreSettings subtracted = ScoreSettings.of(Scaling.NONE, 1.5);
    assertThat(subtracted.score(2, true, 3, 10)).isEqualTo(2);
    assertThat(subtracted.score(2, false, 3, 10)).isEqualTo(0.5);
    ScoreSettings replaced = new ScoreSettings(Scaling.NONE, NONE, MissingStop.REPLACE, -7, 0, 0);
    assertThat(replaced.score(2, true, 3, 10)).isEqualTo(2);
    assertThat(replaced.score(2, false, 3, 10)).isEqualTo(-7);
  }

  @ParameterizedTest
  @CsvSource({"1, 0", "6, 0", "7, 0.5", "8, 1", "10, 2"})
  void item7TheOverlongPenaltyRisesFromNothingToTheLongestResponse(int length, double penalty) {
    ScoreSettings settings = new ScoreSettings(Scaling.NONE, NONE, MissingStop.SUBTRACT, 0, 4, 2);
    assertThat(settings.score(5, true, length, 10)).isCloseTo(5 - penalty, within(1e-12));
  }

  @Test
  void item8ScoresAreStandardisedByTheFirstOnesAndClipped() {
    double[] first = {1, 3, 5, 7};
    ScoreScale scale = ScoreScale.of(first, Scaling.STANDARDIZE);
    double sum = 0;
    double squares = 0;
    for (double score : first) {
      sum += scale.scaled(score);
      squares += scale.scaled(score) * scale.scaled(score);
    }
    assertThat(sum).isCloseTo(0, within(1e-12));
    assertThat(squares / 4).isCloseTo(1, within(1e-12));
    assertThat(ScoreScale.of(first, Scaling.SHIFT)).isEqualTo(new ScoreScale(4, 1));
    assertThat(ScoreScale.of(first, Scaling.NONE)).isEqualTo(new ScoreScale(0, 1));
    assertThat(ScoreScale.of(new double[] {2, 2}, Scaling.STANDARDIZE).scaled(5)).isEqualTo(3);
    assertThat(ScoreScale.parse(scale.line())).isEqualTo(scale);

    ScoreSettings clipped = new ScoreSettings(Scaling.NONE, 2, MissingStop.SUBTRACT, 1, 0, 0);
    assertThat(clipped.score(5, true, 1, 10)).isEqualTo(2);
    assertThat(clipped.score(-5, true, 1, 10)).isEqualTo(-2);
    assertThat(clipped.score(-5, false, 1, 10)).as("the penalty is not clipped").isEqualTo(-3);
  }

  @Test
  void nonsenseIsRefused() {
    assertThatThrownBy(() -> new ScoreSettings(Scaling.NONE, 0, MissingStop.SUBTRACT, 0, 0, 0))
        .isInstanceOf(JobFailure.class)
        .hasMessage("Cannot clip scores to ±0.0");
    assertThatThrownBy(() -> ScoreSettings.of(Scaling.NONE, Double.NaN))
        .isInstanceOf(JobFailure.class);
    assertThatThrownBy(() -> new ScoreSettings(Scaling.NONE, NONE, MissingStop.SUBTRACT, 0, -1, 0))
        .isInstanceOf(JobFailure.class);
  }
}
