package io.github.sparkrlhf.reward;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import ai.djl.pytorch.engine.PtNDArray;
import ai.djl.pytorch.jni.JniUtils;
import io.github.sparkrlhf.lm.GradMode;
import io.github.sparkrlhf.lm.Scalars;
import io.github.sparkrlhf.spark.CounterRandom;
import java.util.ArrayList;
import java.util.List;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.DoubleRange;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class TieModelTest {
  @Property(tries = 200)
  void theThreeOutcomesAreCertain(
      @ForAll TieModel.Rule rule,
      @ForAll @DoubleRange(min = 0.01, max = 8) double parameter,
      @ForAll @DoubleRange(min = -60, max = 60) double difference) {
    TieModel model = new TieModel(rule, parameter);
    double[] logs = model.logProbabilities(difference);
    assertThat(Math.exp(logs[0]) + Math.exp(logs[1]) + Math.exp(logs[2]))
        .isCloseTo(1, within(1e-12));
    double[] mirrored = model.logProbabilities(-difference);
    assertThat(mirrored[0]).isCloseTo(logs[1], within(1e-9));
    assertThat(mirrored[2]).isCloseTo(logs[2], within(1e-9));
  }

  @Test
  void probabilitiesAreThoseOfTheFormulae() {
    // Strengths 3 and 1, θ = 2 (Rao and Kupper 1967, equations 2.1 and 2.2): 3/5, 1/7, 9/35.
    double[] logs =
        new TieModel(TieModel.Rule.RAO_KUPPER, Math.log(2)).logProbabilities(Math.log(3));
    assertThat(Math.exp(logs[0])).isCloseTo(3.0 / 5, within(1e-12));
    assertThat(Math.exp(logs[1])).isCloseTo(1.0 / 7, within(1e-12));
    assertThat(Math.exp(logs[2])).isCloseTo(9.0 / 35, within(1e-12));
    // Strengths 4 and 1, ν = 1 (Davidson 1970): 4 : 1 : √4.
    logs = new TieModel(TieModel.Rule.DAVIDSON, 1).logProbabilities(Math.log(4));
    assertThat(Math.exp(logs[0])).isCloseTo(4.0 / 7, within(1e-12));
    assertThat(Math.exp(logs[1])).isCloseTo(1.0 / 7, within(1e-12));
    assertThat(Math.exp(logs[2])).isCloseTo(2.0 / 7, within(1e-12));
  }

  @ParameterizedTest
  @EnumSource(TieModel.Rule.class)
  void aShareOfTiesGivesItsParameter(TieModel.Rule rule) {
    assertThat(Math.exp(TieModel.ofShare(rule, 0.3).logProbabilities(0)[2]))
        .isCloseTo(0.3, within(1e-12));
  }

  @ParameterizedTest
  @EnumSource(TieModel.Rule.class)
  void findsTheParameterAndTheScaleThatMadeTheVotes(TieModel.Rule rule) {
    TieModel truth = new TieModel(rule, 0.8);
    CounterRandom random = new CounterRandom(3, "votes with ties");
    int pairs = 40_000;
    double[] difference = new double[pairs];
    double[] first = new double[pairs];
    double[] tie = new double[pairs];
    for (int i = 0; i < pairs; i++) {
      difference[i] = random.gaussian(i, 0);
      double[] logs = truth.logProbabilities(2 * difference[i]);
      double u = random.uniform(i, 1);
      first[i] = u < Math.exp(logs[0]) ? 1 : 0;
      tie[i] = first[i] == 0 && u < Math.exp(logs[0]) + Math.exp(logs[2]) ? 1 : 0;
    }
    TieModel.Outcomes outcomes = new TieModel.Outcomes(difference, first, tie);

    TieModel.Fit fit = TieModel.fit(rule, outcomes);

    assertThat(fit.model().parameter()).isCloseTo(0.8, within(0.03));
    assertThat(fit.scale()).isCloseTo(2, within(0.06));
    for (double away : new double[] {0.99, 1.01}) {
      TieModel other = new TieModel(rule, fit.model().parameter() * away);
      assertThat(new TieModel.Fit(other, fit.scale()).logLoss(outcomes))
          .isGreaterThan(fit.logLoss(outcomes));
      assertThat(new TieModel.Fit(fit.model(), fit.scale() * away).logLoss(outcomes))
          .isGreaterThan(fit.logLoss(outcomes));
    }
  }

  @ParameterizedTest
  @EnumSource(TieModel.Rule.class)
  void theDifferentiableLossIsThatOfTheModel(TieModel.Rule rule) {
    TieModel model = new TieModel(rule, 0.7);
    float[] differences = {0.4f, -2.5f, 12, 0.01f};
    double[][] outcomes = {{0.9, 0.1}, {0.5, 0.4}, {1, 0}, {0.5, 1}};
    List<PairExample> rows = new ArrayList<>();
    double expected = 0;
    double[] slopes = new double[differences.length];
    for (int i = 0; i < differences.length; i++) {
      double margin = i == 1 ? 0.3 : 0;
      rows.add(
          new PairExample(
              "" + i, new int[] {1}, new int[] {1}, outcomes[i][0], outcomes[i][1], margin));
      expected += loss(model, outcomes[i], differences[i] - margin);
      slopes[i] =
          (loss(model, outcomes[i], differences[i] - margin + 1e-6)
                  - loss(model, outcomes[i], differences[i] - margin - 1e-6))
              / 2e-6;
    }
    try (GradMode ignored = GradMode.of(true);
        NDManager manager = NDManager.newBaseManager()) {
      NDArray difference = manager.create(differences);
      difference.setRequiresGradient(true);
      NDArray loss = TieLoss.of(manager, model, rows, difference);
      JniUtils.backward((PtNDArray) loss, (PtNDArray) Scalars.of(manager, 1f), false, false);
      float[] gradient = JniUtils.getGradient((PtNDArray) difference).toFloatArray();

      assertThat((double) loss.stopGradient().getFloat()).isCloseTo(expected, within(1e-4));
      for (int i = 0; i < slopes.length; i++) {
        assertThat((double) gradient[i]).isCloseTo(slopes[i], within(1e-5));
      }
    }
  }

  /** Of a probability that counts ties half, and the probability of a tie. */
  private static double loss(TieModel model, double[] outcome, double difference) {
    double[] logs = model.logProbabilities(difference);
    double first = outcome[0] - outcome[1] / 2;
    return -(first * logs[0] + (1 - first - outcome[1]) * logs[1] + outcome[1] * logs[2]);
  }
}
