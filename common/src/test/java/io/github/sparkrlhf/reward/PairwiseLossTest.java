package io.github.sparkrlhf.reward;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import io.github.sparkrlhf.golden.PpoGolden;
import java.util.Arrays;
import org.junit.jupiter.api.Test;

class PairwiseLossTest {
  private static final float[] NO_MARGINS = {0, 0, 0, 0};

  @Test
  void isThatOfTrlWithAndWithoutMarginAndCentering() {
    float[] chosen = PpoGolden.floats(PpoGolden.at("/reward/chosen"));
    float[] rejected = PpoGolden.floats(PpoGolden.at("/reward/rejected"));
    float[] margins = PpoGolden.floats(PpoGolden.at("/reward/margin"));
    for (JsonNode golden : PpoGolden.list("/reward/cases")) {
      PairwiseLoss loss =
          PairwiseLoss.of(
              chosen,
              rejected,
              golden.required("use_margin").booleanValue() ? margins : NO_MARGINS,
              golden.required("center_rewards_coefficient").asDouble(0),
              chosen.length);
      double[] gradient = PpoGolden.doubles(golden.required("grad"));
      assertThat(loss.loss()).isCloseTo(golden.required("loss").doubleValue(), within(1e-6));
      assertThat(loss.chosenGradient())
          .containsExactly(Arrays.copyOfRange(gradient, 0, 4), within(1e-6));
      assertThat(loss.rejectedGradient())
          .containsExactly(Arrays.copyOfRange(gradient, 4, 8), within(1e-6));
      assertThat(loss.accuracy()).isEqualTo(golden.at("/metrics/accuracy").doubleValue());
    }
  }

  @Test
  void largeDifferencesStayFinite() {
    PairwiseLoss loss =
        PairwiseLoss.of(new float[] {-2000, 2000}, new float[] {2000, -2000}, new float[2], 0, 2);
    assertThat(loss.loss()).isEqualTo(2000);
    assertThat(loss.chosenGradient()).containsExactly(-0.5, 0);
    assertThat(loss.rejectedGradient()).containsExactly(0.5, 0);
  }
}
