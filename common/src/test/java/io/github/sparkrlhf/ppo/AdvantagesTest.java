package io.github.sparkrlhf.ppo;

import static io.github.sparkrlhf.golden.PpoGolden.doubles;
import static io.github.sparkrlhf.golden.PpoGolden.rows;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import io.github.sparkrlhf.golden.PpoGolden;
import io.github.sparkrlhf.ppo.Advantages.Gae;
import io.github.sparkrlhf.ppo.Advantages.Scale;
import java.util.Arrays;
import java.util.Locale;
import org.junit.jupiter.api.Test;

class AdvantagesTest {
  @Test
  void gaeIsThatOfTrl() {
    for (JsonNode golden : PpoGolden.list("/gae")) {
      float[][] rewards = rows(golden.path("rewards"));
      int[] lengths = Arrays.stream(rewards).mapToInt(row -> row.length).toArray();
      Gae gae =
          Advantages.gae(
              rewards,
              rows(golden.path("values")),
              lengths,
              golden.path("gamma").doubleValue(),
              golden.path("lam").doubleValue());
      float[][] advantages = rows(golden.path("advantages"));
      float[][] returns = rows(golden.path("returns"));
      for (int row = 0; row < rewards.length; row++) {
        assertThat(gae.advantages()[row]).containsExactly(advantages[row], within(1e-6f));
        assertThat(gae.returns()[row]).containsExactly(returns[row], within(1e-6f));
      }
    }
  }

  @Test
  void gaeEndsAtTheLengthWhateverThePaddingHolds() {
    float[][] rewards = {{0, 0, 1, 99}};
    float[][] values = {{0.5f, 0.4f, 0.3f, -99}};
    Gae gae = Advantages.gae(rewards, values, new int[] {3}, 0.9, 0.8);
    assertThat(gae.advantages()[0])
        .containsExactly(new float[] {0.12928f, 0.374f, 0.7f, 0}, within(1e-6f));
    assertThat(gae.returns()[0])
        .containsExactly(new float[] {0.62928f, 0.774f, 1, 0}, within(1e-6f));
  }

  @Test
  void gaeWithLambdaOneAndNoValuesIsTheDiscountedReturn() {
    float[][] rewards = {{1, 2, 4}, {3, 7, 7}};
    int[] lengths = {3, 1};
    float[][] returns = Advantages.discountedReturns(rewards, lengths, 0.5);
    assertThat(returns[0]).containsExactly(3, 4, 4);
    assertThat(returns[1]).containsExactly(3, 0, 0);
    assertThat(Advantages.gae(rewards, new float[2][3], lengths, 0.5, 1).advantages())
        .isDeepEqualTo(returns);
  }

  @Test
  void rlooIsThatOfTrl() {
    double[] advantages =
        Advantages.rloo(
            doubles(PpoGolden.at("/rloo/rewards")),
            PpoGolden.at("/rloo/num_generations").intValue());
    assertThat(advantages)
        .containsExactly(doubles(PpoGolden.at("/rloo/advantages/plain")), within(1e-6));
  }

  @Test
  void grpoIsThatOfTrl() {
    double[] scores = doubles(PpoGolden.at("/grpo/rewards"));
    int groupSize = PpoGolden.at("/grpo/num_generations").intValue();
    for (Scale scale : Scale.values()) {
      double[] golden =
          doubles(PpoGolden.at("/grpo/advantages/" + scale.name().toLowerCase(Locale.ROOT)));
      assertThat(Advantages.grpo(scores, groupSize, scale)).containsExactly(golden, within(1e-6));
    }
  }

  @Test
  void equalScoresGiveNoAdvantageAtAll() {
    double[] scores = {0.1, 0.1, 0.1};
    assertThat(Advantages.rloo(scores, 3)).containsOnly(0);
    assertThat(Advantages.grpo(scores, 3, Scale.GROUP)).containsOnly(0);
  }

  @Test
  void groupsMustBeWholeAndHaveTwoMembers() {
    assertThatThrownBy(() -> Advantages.rloo(new double[3], 1))
        .isInstanceOf(IllegalArgumentException.class);
    assertThatThrownBy(() -> Advantages.grpo(new double[3], 2, Scale.NONE))
        .isInstanceOf(IllegalArgumentException.class);
  }
}
