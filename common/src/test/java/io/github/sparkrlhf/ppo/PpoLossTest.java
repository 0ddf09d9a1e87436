package io.github.sparkrlhf.ppo;

import static io.github.sparkrlhf.golden.PpoGolden.rows;
import static io.github.sparkrlhf.golden.PpoGolden.select;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import io.github.sparkrlhf.golden.PpoGolden;
import io.github.sparkrlhf.ppo.PpoLoss.Clip;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Against TRL's numbers, piece by piece on TRL's own arrays. Two things differ on purpose. TRL puts
 * the score one position after the stop token where that fits, and hence has values and the value
 * loss one token longer; ours sits on the last valid token, under one mask. TRL's approxkl, ratio
 * and entropy are means over padding too; ours are those that the golden file calls ours_masked.
 */
class PpoLossTest {
  private static final int TOKENS = 7;

  /** One case of the golden file with the arrays of its minibatch. */
  record Case(JsonNode config, JsonNode batch, JsonNode minibatch, int[] rowNumbers) {
    static Case of(JsonNode node) {
      int[] numbers = new int[node.path("minibatch_rows").size()];
      Arrays.setAll(numbers, i -> node.path("minibatch_rows").get(i).intValue());
      return new Case(node.path("config"), node.path("batch"), node.path("minibatch"), numbers);
    }

    double config(String name) {
      return config.required(name).doubleValue();
    }

    float[][] batch(String name) {
      return rows(batch.required(name));
    }

    int[] lengths() {
      return PpoGolden.lengths(batch.required("padding_mask"), false);
    }

    /** TRL's longer ones, with the position after the stop token. */
    int[] valueLengths() {
      return PpoGolden.lengths(batch.required("padding_mask_p1"), false);
    }

    int[] selected(int[] lengths) {
      return Arrays.stream(rowNumbers).map(row -> lengths[row]).toArray();
    }

    double golden(String name) {
      return minibatch.required(name).doubleValue();
    }

    Clip clip() {
      return new Clip(config("cliprange"), config("cliprange"), config("cliprange_value"));
    }

    PpoLoss.Policy policy() {
      int[] lengths = selected(lengths());
      return PpoLoss.policy(
          rows(minibatch.required("new_logprobs_masked")),
          select(batch("logprobs_masked"), rowNumbers),
          select(batch("advantages"), rowNumbers),
          lengths,
          clip(),
          Arrays.stream(lengths).sum());
    }

    PpoLoss.Value value() {
      int[] lengths = selected(valueLengths());
      return PpoLoss.value(
          rows(minibatch.required("vpred_masked")),
          select(batch("values_masked"), rowNumbers),
          select(batch("returns"), rowNumbers),
          lengths,
          clip(),
          Arrays.stream(lengths).sum());
    }

    @Override
    public String toString() {
      return config + " rows " + Arrays.toString(rowNumbers);
    }
  }

  static List<Case> cases() {
    List<Case> cases = PpoGolden.list("/ppo/cases").stream().map(Case::of).toList();
    assertThat(cases).hasSize(6);
    return cases;
  }

  @ParameterizedTest
  @MethodSource("cases")
  void klIsThatOfTrl(Case golden) {
    KlEstimator estimator = estimator(golden);
    float[][] logprobs = golden.batch("logprobs_masked");
    float[][] reference = golden.batch("ref_logprobs_masked");
    float[][] expected = golden.batch("kl");
    int[] lengths = golden.lengths();
    double sum = 0;
    for (int row = 0; row < logprobs.length; row++) {
      double[] kl = estimator.perToken(logprobs[row], reference[row], lengths[row]);
      for (int t = 0; t < lengths[row]; t++) {
        assertThat(kl[t]).isCloseTo(expected[row][t], within(1e-6));
        sum += kl[t];
      }
    }
    assertThat(sum / logprobs.length)
        .isCloseTo(golden.batch().required("mean_kl").doubleValue(), within(1e-6));
  }

  @ParameterizedTest
  @MethodSource("cases")
  void tokenRewardsAreThoseOfTrlExceptThatTheScoreSitsOnTheLastValidToken(Case golden) {
    float[][] logprobs = golden.batch("logprobs_masked");
    float[][] reference = golden.batch("ref_logprobs_masked");
    float[][] penalties = golden.batch("non_score_reward");
    float[] scores = PpoGolden.floats(golden.batch().required("scores_after_penalty"));
    int[] lengths = golden.lengths();
    for (int row = 0; row < logprobs.length; row++) {
      int length = lengths[row];
      float[] expected = Arrays.copyOf(penalties[row], length);
      expected[length - 1] += scores[row];
      double[] kl = estimator(golden).perToken(logprobs[row], reference[row], length);
      float[] rewards = TokenRewards.of(kl, scores[row], golden.config("kl_coef"));
      assertThat(rewards).containsExactly(expected, within(1e-6f));
      if (length == TOKENS && !golden.config().required("whiten_rewards").booleanValue()) {
        // No room after the last token: here TRL's placement is ours.
        assertThat(rewards).containsExactly(golden.batch("rewards")[row], within(1e-6f));
      }
    }
  }

  @ParameterizedTest
  @MethodSource("cases")
  void advantagesAndReturnsAreThoseOfTrl(Case golden) {
    float[][] rewards = golden.batch("rewards");
    int[] all = new int[rewards.length];
    Arrays.fill(all, TOKENS);
    Advantages.Gae gae =
        Advantages.gae(
            rewards,
            golden.batch("values_masked"),
            all,
            golden.config("gamma"),
            golden.config("lam"));
    float[][] whitened = Whitening.whiten(gae.advantages(), golden.lengths());
    for (int row = 0; row < rewards.length; row++) {
      assertThat(Arrays.copyOf(gae.advantages()[row], golden.valueLengths()[row]))
          .containsExactly(
              Arrays.copyOf(
                  golden.batch("advantages_before_whitening")[row], golden.valueLengths()[row]),
              within(2e-6f));
      assertThat(gae.returns()[row]).containsExactly(golden.batch("returns")[row], within(2e-6f));
      assertThat(whitened[row]).containsExactly(golden.batch("advantages")[row], within(5e-6f));
    }
  }

  @ParameterizedTest
  @MethodSource("cases")
  void rewardsAreWhitenedAsByTrl(Case golden) {
    float[][] penalties = golden.batch("non_score_reward");
    float[] scores = PpoGolden.floats(golden.batch().required("scores_after_penalty"));
    for (int row = 0; row < penalties.length; row++) {
      penalties[row][golden.batch().required("actual_end").get(row).intValue()] += scores[row];
    }
    float[][] rewards =
        golden.config().required("whiten_rewards").booleanValue()
            ? Whitening.scaleKeepingMean(penalties, golden.valueLengths())
            : penalties;
    for (int row = 0; row < rewards.length; row++) {
      assertThat(rewards[row]).containsExactly(golden.batch("rewards")[row], within(5e-6f));
    }
  }

  @ParameterizedTest
  @MethodSource("cases")
  void lossesAreThoseOfTrl(Case golden) {
    PpoLoss.Policy policy = golden.policy();
    PpoLoss.Value value = golden.value();
    assertThat(policy.loss()).isCloseTo(golden.golden("pg_loss"), within(1e-6));
    assertThat(policy.clipFraction()).isCloseTo(golden.golden("pg_clipfrac"), within(1e-6));
    assertThat(value.loss()).isCloseTo(golden.golden("vf_loss"), within(1e-6));
    assertThat(value.clipFraction()).isCloseTo(golden.golden("vf_clipfrac"), within(1e-6));
    assertThat(policy.loss() + golden.config("vf_coef") * value.loss())
        .isCloseTo(golden.golden("loss"), within(1e-6));
    JsonNode masked = golden.minibatch().required("ours_masked");
    assertThat(policy.approxKl())
        .isCloseTo(masked.required("approxkl").doubleValue(), within(1e-6));
    assertThat(policy.ratio()).isCloseTo(masked.required("ratio_mean").doubleValue(), within(1e-6));
  }

  @ParameterizedTest
  @MethodSource("cases")
  void gradientsAreThoseOfAutograd(Case golden) {
    JsonNode gradLogits = golden.minibatch().required("grad_logits");
    JsonNode gradValues = golden.minibatch().required("grad_values");
    double[][] policy = golden.policy().gradient();
    double[][] value = golden.value().gradient();
    JsonNode inputs = PpoGolden.at("/ppo/inputs");
    double largest = 0;
    for (int i = 0; i < golden.rowNumbers().length; i++) {
      int row = golden.rowNumbers()[i];
      for (int t = 0; t < TOKENS; t++) {
        assertThat(golden.config("vf_coef") * value[i][t])
            .isCloseTo(gradient(gradValues, golden, i).get(t).doubleValue(), within(1e-6));
        double[] probabilities =
            softmax(PpoGolden.doubles(inputs.required("new_logits").get(row).get(t)));
        int token = inputs.required("responses_raw").get(row).get(t).intValue();
        for (int j = 0; j < probabilities.length; j++) {
          // ∂ log softmax(z)_y / ∂ z_j = [j = y] − softmax(z)_j
          double chain = policy[i][t] * ((j == token ? 1 : 0) - probabilities[j]);
          assertThat(chain)
              .isCloseTo(gradient(gradLogits, golden, i).get(t).get(j).doubleValue(), within(1e-6));
          largest = Math.max(largest, Math.abs(chain));
        }
      }
    }
    assertThat(largest).isGreaterThan(1e-3);
  }

  /** The row of a gradient: TRL's arrays are either of the minibatch or of the whole batch. */
  private static JsonNode gradient(JsonNode gradients, Case golden, int i) {
    return gradients.size() == golden.rowNumbers().length
        ? gradients.get(i)
        : gradients.get(golden.rowNumbers()[i]);
  }

  @Test
  void firstMinibatchOfTheFirstEpochHasRatioOneAndNothingClipped() {
    float[][] logprobs = {{-1, -2}, {-0.5f, 0}};
    float[][] advantages = {{1, -2}, {0.5f, 3}};
    PpoLoss.Policy policy =
        PpoLoss.policy(logprobs, logprobs, advantages, new int[] {2, 1}, Clip.DEFAULT, 3);
    assertThat(policy.ratio()).isEqualTo(1);
    assertThat(policy.approxKl()).isZero();
    assertThat(policy.clipFraction()).isZero();
    assertThat(policy.loss()).isCloseTo(0.5 / 3, within(1e-12));
    assertThat(policy.gradient()[0]).containsExactly(new double[] {-1 / 3.0, 2 / 3.0});
    assertThat(policy.gradient()[1]).containsExactly(new double[] {-0.5 / 3, 0});
  }

  @Test
  void lanesAddUpToTheMinibatch() {
    float[][] logprobs = {{-1, -2}, {-0.5f, -3}};
    float[][] old = {{-1.5f, -2}, {-0.1f, -2.5f}};
    float[][] advantages = {{1, -2}, {0.5f, 3}};
    PpoLoss.Policy whole =
        PpoLoss.policy(logprobs, old, advantages, new int[] {2, 1}, Clip.DEFAULT, 3);
    double sum = 0;
    for (int row = 0; row < 2; row++) {
      int[] one = {row};
      sum +=
          PpoLoss.policy(
                  select(logprobs, one),
                  select(old, one),
                  select(advantages, one),
                  new int[] {2 - row},
                  Clip.DEFAULT,
                  3)
              .loss();
    }
    assertThat(sum).isCloseTo(whole.loss(), within(1e-12));
  }

  @Test
  void item16TheClipRangeMayBeAsymmetric() {
    float[][] old = {{0, 0}};
    float[][] logprobs = {{(float) Math.log(1.25), (float) Math.log(0.75)}};
    Clip clip = new Clip(0.2, 0.3, 0.2);
    PpoLoss.Policy policy =
        PpoLoss.policy(logprobs, old, new float[][] {{1, -1}}, new int[] {2}, clip, 2);
    // 1.25 is within 1.3; 0.75 is below 0.8, which the negative advantage must not exploit.
    assertThat(policy.clipFraction()).isEqualTo(0.5);
    assertThat(policy.loss()).isCloseTo((-1.25 + 0.8) / 2, within(1e-6));
    assertThat(policy.gradient()[0][0]).isCloseTo(-1.25 / 2, within(1e-6));
    assertThat(policy.gradient()[0][1]).isZero();
  }

  @Test
  void item16ADualClipBoundsWhatABadResponseCostsHoweverLikelyItHasBecome() {
    float[][] old = {{0, 0, 0}};
    float[][] logprobs = {{(float) Math.log(5), (float) Math.log(2), (float) Math.log(5)}};
    Clip clip = new Clip(0.2, 0.2, 0.2, 3);
    PpoLoss.Policy policy =
        PpoLoss.policy(logprobs, old, new float[][] {{-1, -1, 1}}, new int[] {3}, clip, 3);
    assertThat(policy.loss()).isCloseTo((3 + 2 - 1.2) / 3, within(1e-6));
    assertThat(policy.clipFraction()).isCloseTo(2 / 3.0, within(1e-12));
    assertThat(policy.gradient()[0][0]).isZero();
    assertThat(policy.gradient()[0][1]).isCloseTo(2 / 3.0, within(1e-6));
    assertThat(policy.gradient()[0][2]).isZero();
  }

  @Test
  void extremeRatiosStayFiniteAndHaveNoGradient() {
    float[][] old = {{-1000, 0}};
    float[][] logprobs = {{0, -1000}};
    PpoLoss.Policy policy =
        PpoLoss.policy(logprobs, old, new float[][] {{-1, 1}}, new int[] {2}, Clip.DEFAULT, 2);
    assertThat(policy.loss()).isCloseTo((Math.exp(20) - Math.exp(-20)) / 2, within(1e-3));
    assertThat(policy.gradient()[0]).containsExactly(0, 0);
  }

  private static KlEstimator estimator(Case golden) {
    return KlEstimator.valueOf(
        golden.config().required("kl_estimator").textValue().toUpperCase(Locale.ROOT));
  }

  private static double[] softmax(double[] logits) {
    double largest = Arrays.stream(logits).max().orElseThrow();
    double[] exponentials = Arrays.stream(logits).map(z -> Math.exp(z - largest)).toArray();
    double sum = Arrays.stream(exponentials).sum();
    return Arrays.stream(exponentials).map(e -> e / sum).toArray();
  }
}
