package io.github.sparkrlhf.lm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import org.junit.jupiter.api.Test;

/** The cases of transformers' modeling_rope_utils, written out. */
class RopeScalingTest {
  private static final int HEAD_SIZE = 64;
  private static final double THETA = 500_000;
  private static final int POSITIONS = 2048;

  @Test
  void linearDividesAllFrequencies() {
    float[] plain = frequencies(RopeScaling.NONE, 10);
    float[] scaled = frequencies(new RopeScaling(RopeScaling.Type.LINEAR, 4, 1, 1, 1), 10);
    for (int i = 0; i < plain.length; i++) {
      assertThat((double) scaled[i]).isCloseTo(plain[i] / 4.0, within(1e-9));
    }
  }

  @Test
  void dynamicChangesOnlyWhatIsLongerThanTheLongest() {
    RopeScaling dynamic = new RopeScaling(RopeScaling.Type.DYNAMIC, 2, 1, 1, 1);
    assertThat(frequencies(dynamic, POSITIONS)).isEqualTo(frequencies(RopeScaling.NONE, 10));
    float[] longer = frequencies(dynamic, 2 * POSITIONS);
    double base = THETA * Math.pow(2.0 * 2 - 1, HEAD_SIZE / (HEAD_SIZE - 2.0));
    for (int i = 0; i < longer.length; i++) {
      double expected = 1 / Math.pow(base, 2.0 * i / HEAD_SIZE);
      assertThat((double) longer[i]).isCloseTo(expected, within(1e-7 * expected));
    }
  }

  @Test
  void llama3KeepsHighFrequenciesAndDividesLowOnes() {
    RopeScaling llama3 = new RopeScaling(RopeScaling.Type.LLAMA3, 8, 1, 4, 8192);
    float[] plain = frequencies(RopeScaling.NONE, 10);
    float[] scaled = frequencies(llama3, 10);
    int between = 0;
    for (int i = 0; i < plain.length; i++) {
      double wavelength = 2 * Math.PI / plain[i];
      double smooth = (8192 / wavelength - 1) / (4 - 1);
      double expected = (1 - smooth) * plain[i] / 8 + smooth * plain[i];
      if (wavelength > 8192) {
        expected = plain[i] / 8.0;
      } else if (wavelength < 8192 / 4.0) {
        expected = plain[i];
      } else {
        between++;
      }
      assertThat((double) scaled[i]).isCloseTo(expected, within(2e-7 * expected));
    }
    assertThat(between).isPositive();
    assertThat(scaled[0]).isEqualTo(plain[0]);
  }

  private static float[] frequencies(RopeScaling scaling, int length) {
    TransformerConfig config =
        new TransformerConfig(
            TransformerConfig.Family.LLAMA,
            TransformerConfig.Head.CAUSAL_LM,
            10,
            HEAD_SIZE,
            8,
            1,
            1,
            1,
            HEAD_SIZE,
            1e-6,
            THETA,
            scaling,
            POSITIONS,
            true,
            false,
            false);
    return scaling.inverseFrequencies(config, length);
  }
}
