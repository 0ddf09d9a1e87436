package io.github.sparkrlhf.ppo;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import ai.djl.pytorch.engine.PtNDArray;
import ai.djl.pytorch.jni.JniUtils;
import com.fasterxml.jackson.databind.JsonNode;
import io.github.sparkrlhf.golden.PpoGolden;
import io.github.sparkrlhf.lm.GoldenModel;
import io.github.sparkrlhf.lm.GradMode;
import io.github.sparkrlhf.spark.CounterRandom;
import io.github.sparkrlhf.spark.JobFailure;
import io.github.sparkrlhf.spark.SparkTestSession;
import io.github.sparkrlhf.training.FloatArray;
import io.github.sparkrlhf.training.LaneSettings;
import io.github.sparkrlhf.training.Objective;
import io.github.sparkrlhf.training.TrainingEngine;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.broadcast.Broadcast;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

/** The losses of DPO against TRL's numbers, their slopes, and the objective over a model. */
class DpoObjectiveTest {
  private static final GoldenModel MODEL = GoldenModel.load("llama");
  private static final CounterRandom RANDOM = new CounterRandom(8, "dpo objective test");
  private static final double[] PROBABILITIES = {1, 0.8, 0.5};

  @ParameterizedTest
  @EnumSource(DpoSettings.Loss.class)
  void lossesAndGradientsAreThoseOfTrl(DpoSettings.Loss loss) {
    JsonNode golden = PpoGolden.at("/dpo/losses/" + loss);
    DpoSettings settings =
        new DpoSettings(
            loss,
            PpoGolden.at("/dpo/beta").doubleValue(),
            golden.required("label_smoothing").doubleValue());
    List<DpoExample> pairs = goldenPairs(1);
    float[][] ratios = goldenRatios();
    float[][] expected = PpoGolden.rows(golden.required("grad_per_token_logps"));
    Evaluated found = evaluate(settings, pairs, ratios);
    assertThat(found.loss() / 3).isCloseTo(golden.required("loss").doubleValue(), within(2e-6));
    for (int i = 0; i < 3; i++) {
      DpoLoss reference = DpoLoss.of(settings, response(ratios[i]), response(ratios[3 + i]), 1);
      assertThat(reference.loss())
          .isCloseTo(golden.required("per_sequence").get(i).doubleValue(), within(1e-5));
      assertThat(reference.chosenSlope() / 3).isCloseTo(expected[i][0], within(1e-6));
      assertThat(reference.rejectedSlope() / 3).isCloseTo(expected[3 + i][0], within(1e-6));
      for (int side = 0; side < 6; side += 3) {
        for (int t = 0; t < ratios[side + i].length; t++) {
          assertThat((double) found.gradient()[side + i][t] / 3)
              .isCloseTo(expected[side + i][t], within(1e-6));
        }
      }
    }
  }

  @ParameterizedTest
  @CsvSource({"SIGMOID, 0", "SIGMOID, 0.2", "IPO, 0", "HINGE, 0", "ROBUST, 0.2"})
  void softLabelsMixBothDirectionsAndTheSlopeIsThatOfTheLoss(DpoSettings.Loss loss, double smooth) {
    DpoSettings settings = new DpoSettings(loss, 0.3, smooth);
    double step = 1e-5;
    for (int i = 0; i < 60; i++) {
      double probability = 0.5 + 0.5 * RANDOM.uniform(i, 0);
      DpoLoss.Response chosen = new DpoLoss.Response(6 * RANDOM.gaussian(i, 1), 1 + i % 5);
      DpoLoss.Response rejected = new DpoLoss.Response(6 * RANDOM.gaussian(i, 2), 1 + i % 3);
      DpoLoss found = DpoLoss.of(settings, chosen, rejected, probability);
      double mixed =
          probability * DpoLoss.of(settings, chosen, rejected, 1).loss()
              + (1 - probability) * DpoLoss.of(settings, rejected, chosen, 1).loss();
      assertThat(found.loss()).isCloseTo(mixed, within(1e-9 * Math.max(1, Math.abs(mixed))));
      double up = loss(settings, chosen, step, rejected, 0, probability);
      double down = loss(settings, chosen, -step, rejected, 0, probability);
      assertThat((up - down) / (2 * step)).isCloseTo(found.chosenSlope(), within(1e-5));
      up = loss(settings, chosen, 0, rejected, step, probability);
      down = loss(settings, chosen, 0, rejected, -step, probability);
      assertThat((up - down) / (2 * step)).isCloseTo(found.rejectedSlope(), within(1e-5));
    }
  }

  @ParameterizedTest
  @CsvSource({"SIGMOID, 0.1", "IPO, 0", "HINGE, 0", "ROBUST, 0.1"})
  void sumsAreThoseOfTheReferenceAndTheGradientIsTheSlopeOverAModel(
      DpoSettings.Loss loss, double smooth) {
    DpoSettings settings = new DpoSettings(loss, 0.2, smooth);
    DpoObjective objective = new DpoObjective(MODEL.config(), settings);
    List<DpoExample> rows = DpoTrainer.withReference(MODEL.config(), MODEL.weights(), pairs(9));
    float[] moved = MODEL.weights().clone();
    for (int i = 0; i < moved.length; i++) {
      moved[i] += (float) (0.02 * RANDOM.gaussian(99, i));
    }
    float[] gradient = new float[moved.length];
    double[] sums = objective.compute(moved, rows, gradient);
    assertThat(objective.compute(moved, rows, null)).isEqualTo(sums);
    assertThat(sums[Objective.COUNT]).isEqualTo(9);
    assertThat(sums[DpoObjective.DECIDED]).isEqualTo(6);

    List<DpoExample> now = DpoTrainer.withReference(MODEL.config(), moved, rows);
    double expected = 0;
    double rewards = 0;
    double correct = 0;
    for (int i = 0; i < rows.size(); i++) {
      DpoExample row = rows.get(i);
      DpoLoss.Response chosen =
          response(minus(now.get(i).chosenReference(), row.chosenReference()));
      DpoLoss.Response rejected =
          response(minus(now.get(i).rejectedReference(), row.rejectedReference()));
      expected += DpoLoss.of(settings, chosen, rejected, row.probability()).loss();
      rewards += 0.2 * chosen.logRatio();
      boolean right = chosen.logRatio() > rejected.logRatio();
      correct += row.probability() > 0.5 && right ? 1 : 0;
    }
    assertThat(sums[Objective.LOSS]).isCloseTo(expected, within(1e-4 * expected));
    assertThat(sums[DpoObjective.CHOSEN_REWARD]).isCloseTo(rewards, within(1e-3));
    assertThat(sums[DpoObjective.CORRECT]).isEqualTo(correct);

    double norm = norm(gradient);
    double step = 2e-3;
    double up = objective.compute(along(moved, gradient, step / norm), rows, null)[0];
    double down = objective.compute(along(moved, gradient, -step / norm), rows, null)[0];
    assertThat((up - down) / (2 * step)).isCloseTo(norm, within(0.02 * norm));
  }

  @ParameterizedTest
  @CsvSource({"1, 20", "2, 3", "4, 2", "8, 1"})
  void beforeAnyStepAllRewardsAreExactlyZero(int lanes, int microBatch) {
    JavaSparkContext context =
        JavaSparkContext.fromSparkContext(SparkTestSession.get().sparkContext());
    Broadcast<FloatArray> reference = context.broadcast(new FloatArray(MODEL.weights()));
    DpoObjective objective =
        new DpoObjective(MODEL.config(), new DpoSettings(DpoSettings.Loss.SIGMOID, 0.1, 0));
    try (TrainingEngine<DpoExample> engine =
        new TrainingEngine<>(
                context,
                context.parallelize(pairs(20), 3),
                new LaneSettings(lanes, microBatch, 5),
                objective)
            .prepared(
                reference,
                "test",
                (weights, rows) -> DpoTrainer.withReference(MODEL.config(), weights, rows))) {
      assertThat(engine.rows()).isEqualTo(20);
      for (int step = 0; step < engine.stepsPerEpoch(); step++) {
        double[] sums = engine.round(MODEL.weights(), 0, step, "test").sums();
        assertThat(sums[DpoObjective.CHOSEN_REWARD]).isZero();
        assertThat(sums[DpoObjective.REJECTED_REWARD]).isZero();
        assertThat(sums[Objective.LOSS] / sums[Objective.COUNT])
            .isCloseTo(Math.log(2), within(1e-6));
      }
      double[] all = engine.evaluate(MODEL.weights(), "test");
      assertThat(all[Objective.COUNT]).isEqualTo(20);
      assertThat(all[DpoObjective.CHOSEN_REWARD]).isZero();
    } finally {
      reference.destroy();
    }
  }

  @Test
  void metricsHaveTheNamesOfTrlAndItsValuesOnWholeResponses() {
    float[][] ratios = goldenRatios();
    List<Double> sums = new ArrayList<>(List.of(1.5, 3.0, 0.0, 0.0, 3.0, 0.0, -6.0, -9.0));
    for (int i = 0; i < 3; i++) {
      double chosen = 0.1 * response(ratios[i]).logRatio();
      double rejected = 0.1 * response(ratios[3 + i]).logRatio();
      assertThat(chosen)
          .isCloseTo(PpoGolden.at("/dpo/rewards_chosen").get(i).doubleValue(), within(1e-6));
      sums.set(2, sums.get(2) + chosen);
      sums.set(3, sums.get(3) + rejected);
      sums.set(5, sums.get(5) + (chosen > rejected ? 1 : 0));
    }
    Map<String, Double> metrics = DpoObjective.metrics(sums);
    assertThat(metrics)
        .containsOnlyKeys(
            "loss",
            "rewards/chosen",
            "rewards/rejected",
            "rewards/margins",
            "rewards/accuracies",
            "logps/chosen",
            "logps/rejected")
        .containsEntry("loss", 0.5)
        .containsEntry("logps/rejected", -3.0);
    assertThat(metrics.get("rewards/margins"))
        .isCloseTo(metrics.get("rewards/chosen") - metrics.get("rewards/rejected"), within(1e-9));
    sums.set(DpoObjective.DECIDED, 0.0);
    assertThat(DpoObjective.metrics(sums)).doesNotContainKey("rewards/accuracies");
  }

  @ParameterizedTest
  @CsvSource({"ROBUST, 0", "ROBUST, 0.5", "IPO, 0.1", "HINGE, 0.1", "SIGMOID, 0.5", "SIGMOID, -1"})
  void settingsWithoutMeaningAreRefused(DpoSettings.Loss loss, double smoothing) {
    assertThatThrownBy(() -> new DpoSettings(loss, 0.1, smoothing))
        .isInstanceOf(JobFailure.class)
        .hasMessageStartingWith("Cannot optimise preferences: label smoothing cannot be ");
    assertThatThrownBy(() -> new DpoSettings(DpoSettings.Loss.SIGMOID, 0, 0))
        .hasMessage("Cannot optimise preferences: beta cannot be 0.0");
  }

  /** A loss sum, and its gradient by the log-ratios of the tokens. */
  private record Evaluated(double loss, float[][] gradient) {}

  private static Evaluated evaluate(
      DpoSettings settings, List<DpoExample> pairs, float[][] ratios) {
    int tokens = Arrays.stream(ratios).mapToInt(row -> row.length).sum();
    float[] flat = new float[tokens];
    int next = 0;
    for (float[] row : ratios) {
      System.arraycopy(row, 0, flat, next, row.length);
      next += row.length;
    }
    try (GradMode ignored = GradMode.of(true);
        NDManager manager = NDManager.newBaseManager()) {
      NDArray variable = manager.create(flat);
      variable.setRequiresGradient(true);
      NDArray loss = DpoObjective.loss(manager, settings, pairs, variable);
      JniUtils.backward((PtNDArray) loss, (PtNDArray) manager.create(1f), false, false);
      float[] gradient = variable.getGradient().toFloatArray();
      float[][] byRow = new float[ratios.length][];
      next = 0;
      for (int i = 0; i < ratios.length; i++) {
        byRow[i] = Arrays.copyOfRange(gradient, next, next + ratios[i].length);
        next += ratios[i].length;
      }
      return new Evaluated(loss.getFloat(), byRow);
    }
  }

  private static double loss(
      DpoSettings settings,
      DpoLoss.Response chosen,
      double toChosen,
      DpoLoss.Response rejected,
      double toRejected,
      double probability) {
    return DpoLoss.of(
            settings,
            new DpoLoss.Response(chosen.logRatio() + toChosen, chosen.tokens()),
            new DpoLoss.Response(rejected.logRatio() + toRejected, rejected.tokens()),
            probability)
        .loss();
  }

  private static float[][] goldenRatios() {
    float[][] now = PpoGolden.rows(PpoGolden.at("/dpo/per_token_logps"));
    float[][] reference = PpoGolden.rows(PpoGolden.at("/dpo/ref_per_token_logps"));
    JsonNode mask = PpoGolden.at("/dpo/completion_mask");
    float[][] ratios = new float[now.length][];
    for (int row = 0; row < now.length; row++) {
      int length = 0;
      for (JsonNode flag : mask.get(row)) {
        length += flag.intValue();
      }
      ratios[row] = Arrays.copyOf(minus(now[row], reference[row]), length);
    }
    return ratios;
  }

  private static List<DpoExample> goldenPairs(double probability) {
    float[][] ratios = goldenRatios();
    List<DpoExample> pairs = new ArrayList<>();
    for (int i = 0; i < 3; i++) {
      pairs.add(
          new DpoExample("" + i, 1, new int[2], new int[2], probability)
              .withReference(ratios[i], ratios[3 + i]));
    }
    return pairs;
  }

  /** Pairs of random tokens, a third of them ties. */
  private static List<DpoExample> pairs(int count) {
    List<DpoExample> pairs = new ArrayList<>();
    for (int row = 0; row < count; row++) {
      int prompt = 1 + RANDOM.integer(6, row, 0);
      int[] chosen = tokens(row, 1, prompt + 1 + RANDOM.integer(9, row, 1));
      int[] rejected = tokens(row, 2, prompt + 1 + RANDOM.integer(9, row, 2));
      System.arraycopy(chosen, 0, rejected, 0, prompt);
      pairs.add(new DpoExample("pair-" + row, prompt, chosen, rejected, PROBABILITIES[row % 3]));
    }
    return pairs;
  }

  private static int[] tokens(int row, int part, int length) {
    int[] tokens = new int[length];
    for (int t = 0; t < length; t++) {
      tokens[t] = RANDOM.integer(97, row, part, t);
    }
    return tokens;
  }

  private static DpoLoss.Response response(float[] ratios) {
    double sum = 0;
    for (float ratio : ratios) {
      sum += ratio;
    }
    return new DpoLoss.Response(sum, ratios.length);
  }

  private static float[] minus(float[] first, float[] second) {
    float[] difference = first.clone();
    for (int i = 0; i < difference.length; i++) {
      difference[i] -= second[i];
    }
    return difference;
  }

  private static float[] along(float[] weights, float[] direction, double factor) {
    float[] moved = weights.clone();
    for (int i = 0; i < moved.length; i++) {
      moved[i] += (float) (factor * direction[i]);
    }
    return moved;
  }

  private static double norm(float[] values) {
    double squares = 0;
    for (float value : values) {
      squares += (double) value * value;
    }
    return Math.sqrt(squares);
  }
}
