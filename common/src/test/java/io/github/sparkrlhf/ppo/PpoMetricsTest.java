package io.github.sparkrlhf.ppo;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import io.github.sparkrlhf.golden.PpoGolden;
import io.github.sparkrlhf.ppo.PpoMetrics.Minibatch;
import io.github.sparkrlhf.ppo.PpoMetrics.Responses;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

class PpoMetricsTest {
  @Test
  void metricsOfResponsesByHand() {
    Map<String, Double> metrics =
        PpoMetrics.ofResponses(responses(new double[] {1, 3, 2, 6}), KlEstimator.K2, 0.1);
    // Log-ratios: row 0 (1, 0), row 1 (−2), rows 2 and 3 (0).
    assertThat(metrics)
        .containsEntry("objective/kl", (1 - 2) / 4.0)
        .containsEntry("objective/entropy", (1 + 2 + 3 + 1 + 1) / 4.0)
        .containsEntry("objective/scores", 3.0)
        .containsEntry("response/length_mean", 1.25)
        .containsEntry("response/length_max", 2.0)
        .containsEntry("response/truncated_share", 0.25)
        .containsEntry("val/num_eos_tokens", 3.0);
    double penalty = -0.1 * (0.5 + 2) / 4;
    assertThat(metrics.get("objective/non_score_reward")).isCloseTo(penalty, within(1e-12));
    assertThat(metrics.get("objective/rlhf_reward")).isCloseTo(3 + penalty, within(1e-12));
    // (1, 3) and (2, 6)
    assertThat(metrics.get("objective/scores_std_within_prompt"))
        .isCloseTo((Math.sqrt(2) + Math.sqrt(8)) / 2, within(1e-12));
    // Only row 0 is longer, and its score is 2 below the mean.
    assertThat(metrics.get("response/length_score_correlation"))
        .isCloseTo(-2 / Math.sqrt(0.75 * 14), within(1e-12));
    assertThat(metrics.get("policy/sampler_logprob_difference_mean")).isEqualTo(0.5 / 5);
    assertThat(metrics.get("policy/sampler_logprob_difference_max")).isEqualTo(0.5);
    // Returns 0, 1, 2, 3, 4 with variance 2.5; residuals 0, 0, 0, 0, 1 with variance 0.2.
    assertThat(metrics.get("val/explained_variance")).isCloseTo(1 - 0.2 / 2.5, within(1e-12));
  }

  @Test
  void undefinedMetricsAreLeftOut() {
    Map<String, Double> metrics =
        PpoMetrics.ofResponses(responses(new double[] {1, 1, 1, 1}), KlEstimator.K1, 0.1);
    assertThat(metrics).doesNotContainKey("response/length_score_correlation");
    assertThat(metrics).containsKey("val/explained_variance");
    assertThat(metrics.values()).doesNotContain(Double.NaN);
  }

  @Test
  void klAndPenaltyAreThoseOfTrl() {
    for (JsonNode golden : PpoGolden.list("/ppo/cases")) {
      JsonNode batch = golden.required("batch");
      int[] lengths = PpoGolden.lengths(batch.required("padding_mask"), false);
      float[][] logprobs = cut(PpoGolden.rows(batch.required("logprobs_masked")), lengths);
      float[][] reference = cut(PpoGolden.rows(batch.required("ref_logprobs_masked")), lengths);
      Responses responses =
          new Responses(
              logprobs,
              logprobs,
              reference,
              logprobs,
              logprobs,
              PpoGolden.doubles(batch.required("scores_after_penalty")),
              new boolean[lengths.length],
              1);
      KlEstimator estimator =
          golden.at("/config/kl_estimator").textValue().equals("k3")
              ? KlEstimator.K3
              : KlEstimator.K1;
      Map<String, Double> metrics =
          PpoMetrics.ofResponses(responses, estimator, golden.at("/config/kl_coef").doubleValue());
      assertThat(metrics.get("objective/non_score_reward"))
          .isCloseTo(batch.required("mean_non_score_reward").doubleValue(), within(1e-6));
      if (estimator == KlEstimator.K1) {
        assertThat(metrics.get("objective/kl"))
            .isCloseTo(batch.required("mean_kl").doubleValue(), within(1e-6));
      }
      // TRL sums −log π over padding too, where it put the number 1.
      int padding = Arrays.stream(lengths).map(length -> 7 - length).sum();
      assertThat(metrics.get("objective/entropy") - padding / (double) lengths.length)
          .isCloseTo(batch.required("trl_objective_entropy").doubleValue(), within(1e-5));
    }
  }

  @Test
  void metricsOfAnUpdateAreMeansOverMinibatches() {
    Map<String, Double> metrics =
        PpoMetrics.ofUpdate(
            List.of(
                new Minibatch(1, 2, 7, 3, 4, 0.1, 0.2, 0.9),
                new Minibatch(3, 4, 9, 5, 6, 0.3, 0.4, 1.1)));
    assertThat(metrics)
        .containsEntry("loss/policy_avg", 2.0)
        .containsEntry("loss/value_avg", 3.0)
        .containsEntry("loss/kl_avg", 8.0)
        .containsEntry("policy/entropy_avg", 4.0)
        .containsEntry("policy/approxkl_avg", 5.0)
        .containsEntry("policy/clipfrac_avg", 0.2)
        .containsEntry("val/ratio", 1.0);
    assertThat(metrics.get("val/clipfrac_avg")).isCloseTo(0.3, within(1e-12));
    assertThat(metrics.get("val/ratio_var")).isCloseTo(0.02, within(1e-12));
  }

  private static Responses responses(double[] scores) {
    return new Responses(
        new float[][] {{-1.5f, -2}, {-3}, {-1}, {-1}},
        new float[][] {{-1, -2}, {-3}, {-1}, {-1}},
        new float[][] {{-2, -2}, {-1}, {-1}, {-1}},
        new float[][] {{0, 1}, {2}, {3}, {3}},
        new float[][] {{0, 1}, {2}, {3}, {4}},
        scores,
        new boolean[] {true, true, false, true},
        2);
  }

  private static float[][] cut(float[][] rows, int[] lengths) {
    float[][] result = new float[rows.length][];
    for (int row = 0; row < rows.length; row++) {
      result[row] = Arrays.copyOf(rows[row], lengths[row]);
    }
    return result;
  }
}
