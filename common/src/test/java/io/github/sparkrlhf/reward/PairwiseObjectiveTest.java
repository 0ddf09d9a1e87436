package io.github.sparkrlhf.reward;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDList;
import ai.djl.ndarray.NDManager;
import ai.djl.pytorch.engine.PtNDArray;
import ai.djl.pytorch.jni.JniUtils;
import com.fasterxml.jackson.databind.JsonNode;
import io.github.sparkrlhf.golden.PpoGolden;
import io.github.sparkrlhf.lm.GoldenModel;
import io.github.sparkrlhf.lm.GradMode;
import io.github.sparkrlhf.spark.CounterRandom;
import io.github.sparkrlhf.training.Objective;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.BiFunction;
import org.junit.jupiter.api.Test;

class PairwiseObjectiveTest {
  private static final GoldenModel MODEL = GoldenModel.load("llama_rm");
  private static final int[] NOTHING = {1};

  @Test
  void lossAndGradientOfTheRewardModelAreThoseOfTransformers() {
    List<int[]> sequences = MODEL.sequences();
    List<PairExample> pairs =
        List.of(
            new PairExample("0", sequences.get(0), sequences.get(2), 1, 0),
            new PairExample("1", sequences.get(1), sequences.get(3), 1, 0));
    PairwiseObjective objective = new PairwiseObjective(MODEL.config());
    float[] gradient = new float[objective.parameterCount()];
    double[] sums = objective.compute(MODEL.weights(), pairs, gradient);
    assertThat(sums[Objective.COUNT]).isEqualTo(2);
    assertThat(sums[Objective.LOSS] / 2)
        .isCloseTo(MODEL.golden().required("pairwise_loss").doubleValue(), within(1e-4));
    float[] expected = MODEL.gradients();
    for (int i = 0; i < expected.length; i++) {
      assertThat(gradient[i] / 2.0)
          .isCloseTo(expected[i], within(1e-4 * Math.max(1, Math.abs(expected[i]))));
    }
    JsonNode scores = MODEL.golden().required("scores");
    int correct = 0;
    for (int pair = 0; pair < 2; pair++) {
      correct += scores.get(pair).asDouble() > scores.get(pair + 2).asDouble() ? 1 : 0;
    }
    assertThat(sums[PairwiseObjective.DECIDED]).isEqualTo(2);
    assertThat(sums[PairwiseObjective.CORRECT]).isEqualTo(correct);
    assertThat(objective.compute(MODEL.weights(), pairs, null)).isEqualTo(sums);
  }

  @Test
  void lossesOfTrlAgreeWithAndWithoutMarginAndCentering() {
    float[] chosen = PpoGolden.floats(PpoGolden.at("/reward/chosen"));
    float[] rejected = PpoGolden.floats(PpoGolden.at("/reward/rejected"));
    float[] margins = PpoGolden.floats(PpoGolden.at("/reward/margin"));
    int size = chosen.length;
    int compared = 0;
    for (JsonNode golden : PpoGolden.list("/reward/cases")) {
      boolean margin = golden.required("use_margin").booleanValue();
      double centering = golden.required("center_rewards_coefficient").asDouble(0);
      PairwiseObjective objective =
          new PairwiseObjective(MODEL.config(), new PairwiseSettings(0, centering, null));
      List<PairExample> pairs = new ArrayList<>();
      float[] scores = Arrays.copyOf(chosen, 2 * size);
      System.arraycopy(rejected, 0, scores, size, size);
      for (int i = 0; i < size; i++) {
        pairs.add(new PairExample("" + i, NOTHING, NOTHING, 1, margin ? margins[i] : 0));
      }
      Evaluated found =
          evaluate(
              scores,
              (manager, variable) -> {
                NDList halves = variable.split(2);
                NDArray difference = halves.get(0).sub(halves.get(1));
                NDArray loss = PairwiseObjective.loss(manager, pairs, difference);
                return centering == 0
                    ? loss
                    : loss.add(objective.centering(manager, halves.get(0).add(halves.get(1))));
              });
      assertThat(found.loss() / size)
          .isCloseTo(golden.required("loss").doubleValue(), within(1e-6));
      for (int i = 0; i < 2 * size; i++) {
        assertThat((double) found.gradient()[i] / size)
            .isCloseTo(golden.required("grad").get(i).doubleValue(), within(1e-6));
      }
      compared++;
    }
    assertThat(compared).isEqualTo(4);
  }

  @Test
  void softLabelsMixTheLossesOfBothDirections() {
    CounterRandom random = new CounterRandom(1, "pairwise objective test");
    int size = 200;
    List<PairExample> pairs = new ArrayList<>();
    float[] difference = new float[size];
    double loss = 0;
    double[] gradient = new double[size];
    for (int i = 0; i < size; i++) {
      float probability = (float) (0.5 + 0.5 * random.uniform(i, 0));
      float margin = (float) (i % 2 == 0 ? 0 : random.uniform(i, 1));
      difference[i] = (float) (4 * random.gaussian(i, 2));
      pairs.add(new PairExample("" + i, NOTHING, NOTHING, probability, margin));
      PairwiseLoss forChosen = one(difference[i], margin);
      PairwiseLoss forRejected = one(-difference[i], margin);
      loss += probability * forChosen.loss() + (1.0 - probability) * forRejected.loss();
      gradient[i] =
          probability * forChosen.chosenGradient()[0]
              - (1.0 - probability) * forRejected.chosenGradient()[0];
    }
    Evaluated found = evaluate(pairs, difference);
    assertThat(found.loss()).isCloseTo(loss, within(1e-6 * loss));
    for (int i = 0; i < size; i++) {
      assertThat((double) found.gradient()[i]).isCloseTo(gradient[i], within(1e-6));
    }
  }

  @Test
  void aTieIsNotDecidedAndPullsTheScoresTogether() {
    List<int[]> sequences = MODEL.sequences();
    List<PairExample> pairs =
        List.of(
            new PairExample("tie", sequences.get(0), sequences.get(1), 0.5, 0),
            new PairExample("won", sequences.get(0), sequences.get(1), 0.75, 0),
            new PairExample("lost", sequences.get(1), sequences.get(0), 0.75, 0));
    double[] sums = new PairwiseObjective(MODEL.config()).compute(MODEL.weights(), pairs, null);
    assertThat(sums[Objective.COUNT]).isEqualTo(3);
    assertThat(sums[PairwiseObjective.DECIDED]).isEqualTo(2);
    assertThat(sums[PairwiseObjective.CORRECT]).isEqualTo(1);
    Evaluated tie = evaluate(pairs.subList(0, 1), new float[] {2});
    assertThat(tie.gradient()[0]).isPositive();
    assertThat(evaluate(pairs.subList(0, 1), new float[] {0}).gradient()[0]).isZero();
  }

  @Test
  void hugeDifferencesStayFinite() {
    List<PairExample> pairs =
        List.of(
            new PairExample("0", NOTHING, NOTHING, 1, 0),
            new PairExample("1", NOTHING, NOTHING, 0.9, 0));
    Evaluated found = evaluate(pairs, new float[] {-4000, 4000});
    assertThat(found.loss()).isCloseTo(4400, within(0.1));
    assertThat((double) found.gradient()[0]).isCloseTo(-1, within(1e-6));
    assertThat((double) found.gradient()[1]).isCloseTo(0.1, within(1e-6));
  }

  /** A loss sum and its gradient by the score differences. */
  private record Evaluated(double loss, float[] gradient) {}

  private static Evaluated evaluate(List<PairExample> pairs, float[] difference) {
    return evaluate(
        difference, (manager, variable) -> PairwiseObjective.loss(manager, pairs, variable));
  }

  private static Evaluated evaluate(
      float[] values, BiFunction<NDManager, NDArray, NDArray> function) {
    try (GradMode ignored = GradMode.of(true);
        NDManager manager = NDManager.newBaseManager()) {
      NDArray variable = manager.create(values);
      variable.setRequiresGradient(true);
      NDArray loss = function.apply(manager, variable);
      JniUtils.backward((PtNDArray) loss, (PtNDArray) manager.create(1f), false, false);
      return new Evaluated(loss.getFloat(), variable.getGradient().toFloatArray());
    }
  }

  private static PairwiseLoss one(float difference, float margin) {
    return PairwiseLoss.of(new float[] {difference}, new float[] {0}, new float[] {margin}, 0, 1);
  }
}
