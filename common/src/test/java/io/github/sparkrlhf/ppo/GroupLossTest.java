package io.github.sparkrlhf.ppo;

import static io.github.sparkrlhf.golden.PpoGolden.doubles;
import static io.github.sparkrlhf.golden.PpoGolden.rows;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.types.Shape;
import ai.djl.pytorch.engine.PtNDArray;
import ai.djl.pytorch.jni.JniUtils;
import com.fasterxml.jackson.databind.JsonNode;
import io.github.sparkrlhf.golden.PpoGolden;
import io.github.sparkrlhf.lm.GradMode;
import io.github.sparkrlhf.lm.Scalars;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** The losses of GRPO and RLOO, in both forms, against the numbers and gradients of {@code trl}. */
class GroupLossTest {
  private static final JsonNode INPUTS = PpoGolden.at("/grpo/loss");
  private static final int[] LENGTHS = PpoGolden.lengths(INPUTS.required("mask"), true);
  private static final double[] ADVANTAGES = doubles(INPUTS.required("advantages"));
  private static final int MAX_TOKENS = INPUTS.required("max_completion_length").intValue();
  private static final PpoLoss.Clip CLIP =
      new PpoLoss.Clip(
          INPUTS.required("epsilon").doubleValue(), INPUTS.required("epsilon").doubleValue(), 0.2);

  /** A loss of {@code trl} in our terms. */
  record Case(RatioLevel ratio, Averaging averaging, double beta, JsonNode golden) {
    static Case of(JsonNode node) {
      Averaging averaging =
          switch (node.required("loss_type").textValue()) {
            case "grpo" -> Averaging.RESPONSES;
            case "dr_grpo" -> Averaging.MAX_TOKENS;
            default -> Averaging.TOKENS;
          };
      boolean ofTokens = node.required("importance_sampling_level").textValue().equals("token");
      return new Case(
          ofTokens ? RatioLevel.TOKEN : RatioLevel.RESPONSE_MEAN,
          averaging,
          node.required("beta").doubleValue(),
          node);
    }

    PpoLoss.Weighting weighting() {
      return PpoLoss.Weighting.of(
          averaging,
          LENGTHS,
          MAX_TOKENS,
          averaging.count(LENGTHS.length, Arrays.stream(LENGTHS).sum()));
    }

    @Override
    public String toString() {
      return ratio + " " + averaging + " " + beta;
    }
  }

  static List<Case> cases() {
    List<Case> cases =
        new ArrayList<>(PpoGolden.list("/grpo/loss/cases").stream().map(Case::of).toList());
    cases.add(new Case(RatioLevel.RESPONSE, Averaging.RESPONSES, 0, PpoGolden.at("/rloo/loss")));
    assertThat(cases).hasSize(17);
    return cases;
  }

  static Stream<Case> casesWithPenalty() {
    return cases().stream().filter(each -> each.beta() > 0);
  }

  @ParameterizedTest
  @MethodSource("cases")
  void item15And16LossesAndGradientsAreThoseOfTrl(Case golden) {
    float[][] current = rows(INPUTS.required("new_logprobs"));
    PpoLoss.Policy policy =
        PpoLoss.policy(
            current,
            rows(INPUTS.required("old_logprobs")),
            advantages(),
            CLIP,
            golden.ratio(),
            golden.weighting());
    PpoLoss.Kl kl =
        PpoLoss.kl(
            current, rows(INPUTS.required("ref_logprobs")), KlEstimator.K3, golden.weighting());
    assertThat(policy.loss() + golden.beta() * kl.loss())
        .isCloseTo(golden.golden().required("loss").doubleValue(), within(1e-6));
    float[][] expected = rows(golden.golden().required("grad_logprobs"));
    for (int row = 0; row < expected.length; row++) {
      for (int t = 0; t < expected[row].length; t++) {
        double found = policy.gradient()[row][t] + golden.beta() * kl.gradient()[row][t];
        assertThat(found).isCloseTo(expected[row][t], within(1e-6));
      }
    }
  }

  @ParameterizedTest
  @MethodSource("casesWithPenalty")
  void item9TheMeanDivergenceIsThatOfTrl(Case golden) {
    PpoLoss.Kl kl =
        PpoLoss.kl(
            rows(INPUTS.required("new_logprobs")),
            rows(INPUTS.required("ref_logprobs")),
            KlEstimator.K3,
            PpoLoss.Weighting.tokens(LENGTHS, Arrays.stream(LENGTHS).sum()));
    assertThat(kl.loss())
        .isCloseTo(golden.golden().required("mean_kl").doubleValue(), within(1e-6));
  }

  @ParameterizedTest
  @MethodSource("cases")
  void theDifferentiableLossesAreThoseOfTrl(Case golden) {
    List<PpoExample> examples = examples();
    try (GradMode ignored = GradMode.of(true);
        NDManager manager = NDManager.newBaseManager()) {
      TokenArrays tokens = new TokenArrays(manager, examples, MAX_TOKENS);
      float[] current = flat(rows(INPUTS.required("new_logprobs")));
      NDArray variable = manager.create(current, new Shape(current.length));
      variable.setRequiresGradient(true);
      NDArray old = tokens.of(PpoExample::oldLogProbabilities);
      NDArray ratio =
          golden.ratio() == RatioLevel.TOKEN
              ? TensorLoss.ratio(variable, old)
              : TensorLoss.responseRatio(
                  variable, old, tokens.shares(golden.ratio()), tokens.members());
      NDArray losses = TensorLoss.policy(ratio, tokens.of(PpoExample::advantages), CLIP);
      if (golden.beta() > 0) {
        NDArray kl = TensorLoss.kl(variable, tokens.of(PpoExample::reference), KlEstimator.K3);
        losses = losses.add(kl.mul(Scalars.of(manager, (float) golden.beta())));
      }
      NDArray loss = tokens.sum(losses, golden.averaging());
      NDArray one = Scalars.of(manager, 1);
      JniUtils.backward((PtNDArray) loss, (PtNDArray) one, false, false);
      double divisor = golden.weighting().divisor();
      assertThat(loss.getFloat() / divisor)
          .isCloseTo(golden.golden().required("loss").doubleValue(), within(1e-5));
      float[] expected = flat(rows(golden.golden().required("grad_logprobs")));
      float[] gradient = variable.getGradient().toFloatArray();
      for (int i = 0; i < expected.length; i++) {
        assertThat(gradient[i] / divisor).isCloseTo(expected[i], within(1e-5));
      }
    }
  }

  private static float[][] advantages() {
    float[][] advantages = new float[LENGTHS.length][MAX_TOKENS];
    for (int row = 0; row < advantages.length; row++) {
      Arrays.fill(advantages[row], (float) ADVANTAGES[row]);
    }
    return advantages;
  }

  private static List<PpoExample> examples() {
    List<PpoExample> examples = new ArrayList<>();
    for (int row = 0; row < LENGTHS.length; row++) {
      int length = LENGTHS[row];
      examples.add(
          new PpoExample(
              "row-" + row,
              new int[1],
              new int[length],
              Arrays.copyOf(rows(INPUTS.required("old_logprobs"))[row], length),
              Arrays.copyOf(rows(INPUTS.required("ref_logprobs"))[row], length),
              null,
              Arrays.copyOf(advantages()[row], length),
              null));
    }
    return examples;
  }

  private static float[] flat(float[][] rows) {
    float[] flat = new float[Arrays.stream(LENGTHS).sum()];
    int next = 0;
    for (int row = 0; row < LENGTHS.length; row++) {
      System.arraycopy(rows[row], 0, flat, next, LENGTHS[row]);
      next += LENGTHS[row];
    }
    return flat;
  }
}
