package io.github.sparkrlhf.ppo;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.github.sparkrlhf.policy.Rollout;
import io.github.sparkrlhf.spark.JobFailure;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import org.junit.jupiter.api.Test;

/** From outputs and scores to advantages: two responses to each of two prompts. */
class ExperienceTest {
  private static final double[] SCORES = {1, -1, 0.5, 2};
  private static final int[] LENGTHS = {3, 1, 2, 4};
  private static final double BETA = 0.1;

  @Test
  void item10RewardsOfAResponseAreItsScoreAndThePenaltiesOfItsTokens() {
    Experience experience = experience(Algorithm.PPO, KlUse.REWARD, false);
    for (int row = 0; row < SCORES.length; row++) {
      double sum = 0;
      for (float reward : experience.rewards[row]) {
        sum += reward;
      }
      assertThat(experience.kl[row]).isCloseTo(0.2 * LENGTHS[row], within(1e-6));
      assertThat(sum).isCloseTo(SCORES[row] - BETA * experience.kl[row], within(1e-6));
    }
  }

  @Test
  void item9AKlInTheLossIsNotInTheRewards() {
    Experience experience = experience(Algorithm.GRPO, KlUse.LOSS, false);
    assertThat(experience.rewards[0]).containsExactly(0, 0, 1);
    assertThat(experience.kl[0]).isCloseTo(0.6, within(1e-6));
    assertThat(experience.examples().get(0).reference()).hasSize(3);
  }

  @Test
  void item14ReturnsAreThoseOfTheAdvantagesBeforeTheyAreWhitened() {
    Experience experience = experience(Algorithm.PPO, KlUse.REWARD, false);
    Advantages.Gae gae = Advantages.gae(experience.rewards, values(), LENGTHS, 1, 0.95);
    assertThat(experience.returns).isDeepEqualTo(gae.returns());
    assertThat(experience.advantages).isDeepEqualTo(Whitening.whiten(gae.advantages(), LENGTHS));
  }

  @Test
  void item12WhitenedRewardsMakeTheAdvantagesAndAreNotWhatIsKept() {
    Experience plain = experience(Algorithm.PPO, KlUse.REWARD, false);
    Experience white = experience(Algorithm.PPO, KlUse.REWARD, true);
    assertThat(white.rewards).isDeepEqualTo(plain.rewards);
    float[][] rewards = Whitening.scaleKeepingMean(plain.rewards, LENGTHS);
    assertThat(white.returns)
        .isDeepEqualTo(Advantages.gae(rewards, values(), LENGTHS, 1, 0.95).returns());
  }

  @Test
  void item15EveryAlgorithmEstimatesItsAdvantagesOnTheSameRecords() {
    // The penalties of the tokens are part of what a group compares.
    double[] totals = new double[SCORES.length];
    for (int row = 0; row < totals.length; row++) {
      totals[row] = SCORES[row] - BETA * 0.2 * LENGTHS[row];
    }
    assertEachToken(Algorithm.RLOO, Advantages.rloo(totals, 2));
    assertEachToken(Algorithm.GRPO, Advantages.grpo(totals, 2, Advantages.Scale.GROUP));
    assertEachToken(Algorithm.DR_GRPO, Advantages.grpo(totals, 2, Advantages.Scale.NONE));
    Experience reinforce = experience(Algorithm.REINFORCE_PLUS_PLUS, KlUse.REWARD, false);
    assertThat(reinforce.advantages)
        .isDeepEqualTo(
            Whitening.whiten(Advantages.discountedReturns(reinforce.rewards, LENGTHS, 1), LENGTHS));
    assertThat((Object[]) reinforce.returns).containsOnlyNulls();
  }

  private static void assertEachToken(Algorithm algorithm, double[] expected) {
    Experience experience = experience(algorithm, KlUse.REWARD, false);
    for (int row = 0; row < expected.length; row++) {
      assertThat(experience.advantages[row]).hasSize(LENGTHS[row]);
      for (float advantage : experience.advantages[row]) {
        assertThat((double) advantage).isCloseTo(expected[row], within(1e-5));
      }
    }
  }

  @Test
  void item4LogProbabilitiesThatAreNotTheSamplersAreAFailure() {
    List<ForwardPass.Outputs> others = new ArrayList<>(outputs());
    ForwardPass.Outputs first = others.get(0);
    others.set(
        0,
        new ForwardPass.Outputs(
            first.id(), new float[] {-1, -1, -0.75f}, first.reference(), first.values()));
    PpoSettings settings = settings(Algorithm.PPO, KlUse.REWARD, false);
    assertThatThrownBy(() -> new Experience(rollouts(), others, SCORES, settings, BETA))
        .isInstanceOf(JobFailure.class)
        .hasMessageContaining("differ from the training forward pass by 0.025 on average");
  }

  private static Experience experience(Algorithm algorithm, KlUse use, boolean whiten) {
    List<ForwardPass.Outputs> shuffled = new ArrayList<>(outputs());
    Collections.reverse(shuffled);
    return new Experience(rollouts(), shuffled, SCORES, settings(algorithm, use, whiten), BETA);
  }

  private static PpoSettings settings(Algorithm algorithm, KlUse use, boolean whiten) {
    PpoSettings tiny = TinyPpo.settings(algorithm, 1);
    return new PpoSettings(
        algorithm,
        1,
        tiny.sampling(),
        new PpoSettings.Reward(
            KlController.fixed(BETA),
            use == KlUse.LOSS ? KlEstimator.K2 : KlEstimator.K1,
            use,
            tiny.reward().scores(),
            whiten,
            1,
            0.95),
        tiny.update(),
        WatchdogSettings.QUIET,
        tiny.lanes(),
        1,
        0);
  }

  private static float[] filled(int row, float value) {
    float[] values = new float[LENGTHS[row]];
    Arrays.fill(values, value);
    return values;
  }

  private static float[][] values() {
    float[][] values = new float[LENGTHS.length][];
    for (int row = 0; row < values.length; row++) {
      values[row] = filled(row, 0.1f * row);
    }
    return values;
  }

  private static List<Rollout> rollouts() {
    List<Rollout> rollouts = new ArrayList<>();
    for (int row = 0; row < LENGTHS.length; row++) {
      rollouts.add(
          new Rollout(
              "r" + row,
              "p" + row / 2,
              row % 2,
              new int[] {1},
              new int[LENGTHS[row]],
              true,
              filled(row, -1)));
    }
    return rollouts;
  }

  /** l is 0.2 at every token. */
  private static List<ForwardPass.Outputs> outputs() {
    List<ForwardPass.Outputs> outputs = new ArrayList<>();
    for (int row = 0; row < LENGTHS.length; row++) {
      outputs.add(
          new ForwardPass.Outputs("r" + row, filled(row, -1), filled(row, -1.2f), values()[row]));
    }
    return outputs;
  }
}
