package io.github.sparkrlhf.ppo;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.github.sparkrlhf.golden.PpoGolden;
import io.github.sparkrlhf.ppo.Whitening.Moments;
import java.util.List;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.FloatRange;
import net.jqwik.api.constraints.Size;
import org.junit.jupiter.api.Test;

class WhiteningTest {
  @Test
  void isThatOfTrlAndZeroInThePadding() {
    float[][] values = PpoGolden.rows(PpoGolden.at("/masked_whiten/values"));
    int[] lengths = PpoGolden.lengths(PpoGolden.at("/masked_whiten/mask"), true);
    Moments moments = Moments.of(values, lengths);
    assertThat(moments.count()).isEqualTo(4);
    assertThat(moments.mean()).isEqualTo(PpoGolden.at("/masked_whiten/mean").doubleValue());
    assertThat(moments.variance())
        .isCloseTo(PpoGolden.at("/masked_whiten/var_unbiased").doubleValue(), within(1e-6));
    float[][] shifted = PpoGolden.rows(PpoGolden.at("/masked_whiten/whiten_shift"));
    float[][] kept = PpoGolden.rows(PpoGolden.at("/masked_whiten/whiten_noshift"));
    for (int row = 0; row < values.length; row++) {
      shifted[row][2] = 0;
      kept[row][2] = 0;
      assertThat(Whitening.whiten(values, lengths)[row])
          .containsExactly(shifted[row], within(1e-6f));
      assertThat(Whitening.scaleKeepingMean(values, lengths)[row])
          .containsExactly(kept[row], within(1e-6f));
    }
  }

  @Property(tries = 200)
  void hasMeanZeroAndVarianceOneOverValidTokens(
      @ForAll @Size(min = 3, max = 30) List<@FloatRange(min = -100, max = 100) Float> numbers) {
    float[] row = new float[numbers.size()];
    for (int i = 0; i < row.length; i++) {
      row[i] = numbers.get(i);
    }
    float[][] values = {row, {1, 2, 1000}};
    int[] lengths = {row.length, 2};
    Moments before = Moments.of(values, lengths);
    Moments after = Moments.of(Whitening.whiten(values, lengths), lengths);
    assertThat(after.mean()).isCloseTo(0, within(1e-5));
    // 1e-8 beside the variance
    assertThat(after.variance())
        .isCloseTo(before.variance() / (before.variance() + 1e-8), within(1e-4));
  }

  @Test
  void tooFewTokensGiveZeroRatherThanNaN() {
    assertThat(Whitening.whiten(new float[][] {{5, 6}}, new int[] {1})[0]).containsExactly(0, 0);
    assertThat(Whitening.whiten(new float[][] {{5, 6}}, new int[] {0})[0]).containsExactly(0, 0);
    assertThat(Whitening.whiten(new float[][] {{3, 3}}, new int[] {2})[0]).containsExactly(0, 0);
  }
}
