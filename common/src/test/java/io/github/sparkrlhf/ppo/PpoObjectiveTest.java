package io.github.sparkrlhf.ppo;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.github.sparkrlhf.lm.GoldenModel;
import io.github.sparkrlhf.lm.LanguageModel;
import io.github.sparkrlhf.lm.ParameterLayout;
import io.github.sparkrlhf.lm.TransformerConfig;
import io.github.sparkrlhf.spark.CounterRandom;
import io.github.sparkrlhf.spark.SparkTestSession;
import io.github.sparkrlhf.training.FloatArray;
import io.github.sparkrlhf.training.LaneSettings;
import io.github.sparkrlhf.training.Objective;
import io.github.sparkrlhf.training.Trainables;
import io.github.sparkrlhf.training.TrainingEngine;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.broadcast.Broadcast;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class PpoObjectiveTest {
  private static final GoldenModel POLICY = GoldenModel.load("llama");
  private static final GoldenModel CRITIC = GoldenModel.load("llama_rm");
  private static final PpoModels MODELS = new PpoModels(POLICY.config(), CRITIC.config());
  private static final float[] WEIGHTS =
      Trainables.all(POLICY.languageModel(), CRITIC.languageModel()).initial();
  private static final double TEMPERATURE = 0.7;
  private static final PpoSettings.Sampling SAMPLING =
      new PpoSettings.Sampling(1, 1, 20, TEMPERATURE, 1);
  private static final PpoLoss.Clip CLIP = PpoLoss.Clip.DEFAULT;
  private static final CounterRandom RANDOM = new CounterRandom(4, "ppo objective test");
  private static final JavaSparkContext CONTEXT =
      JavaSparkContext.fromSparkContext(SparkTestSession.get().sparkContext());

  @ParameterizedTest
  @CsvSource({"1, 40", "1, 5", "2, 7", "4, 3", "8, 1", "8, 2", "64, 1"})
  void everyMinibatchOfTheFirstEpochHasARatioOfExactlyOneBeforeAnyStep(int lanes, int microBatch) {
    LaneSettings settings = new LaneSettings(lanes, microBatch, 12);
    Map<String, ForwardPass.Outputs> outputs = forward(settings);
    List<PpoExample> learned = new ArrayList<>();
    for (PpoExample row : examples(40)) {
      ForwardPass.Outputs output = outputs.get(row.id());
      learned.add(row.with(output, noise(row, 0, 1), plus(output.values(), noise(row, 1, 1))));
    }
    int tokens = 0;
    double advantages = 0;
    try (TrainingEngine<PpoExample> engine =
        new TrainingEngine<>(
            CONTEXT, CONTEXT.parallelize(learned, 3), settings, objective(0.1, 0.01))) {
      for (int step = 0; step < engine.stepsPerEpoch(); step++) {
        TrainingEngine.Round round = engine.round(WEIGHTS, 0, step, "test");
        double[] sums = round.sums();
        assertThat(sums[PpoObjective.SQUARED_LOG_RATIO]).isZero();
        assertThat(sums[PpoObjective.RATIO]).isEqualTo(sums[Objective.COUNT]);
        assertThat(sums[PpoObjective.CLIPPED]).isZero();
        assertThat(sums[PpoObjective.VALUE_CLIPPED]).isZero();
        PpoMetrics.Minibatch minibatch = objective(0.1, 0.01).minibatch(sums);
        assertThat(minibatch.approxKl()).isZero();
        assertThat(minibatch.clipFraction()).isZero();
        assertThat(minibatch.ratio()).isEqualTo(1);
        tokens += (int) sums[Objective.COUNT];
        advantages -= sums[PpoObjective.POLICY_LOSS];
        assertThat(norm(round.gradient(), 0, WEIGHTS.length)).isPositive();
      }
    }
    assertThat(tokens).isEqualTo(learned.stream().mapToInt(row -> row.response().length).sum());
    // At a ratio of 1 the policy loss is minus the sum of the advantages.
    double expected = 0;
    for (PpoExample row : learned) {
      for (float advantage : row.advantages()) {
        expected += advantage;
      }
    }
    assertThat(advantages).isCloseTo(expected, within(1e-3));
  }

  @Test
  void sumsAreThoseOfTheReferenceLosses() {
    float[] moved = moved(0.01);
    List<PpoExample> rows = learnable(20);
    float[] gradient = new float[WEIGHTS.length];
    double[] sums = objective(0.1, 0).compute(moved, rows, gradient);
    List<ForwardPass.Outputs> now = outputs(moved, rows);
    float[][] logProbabilities = each(now, ForwardPass.Outputs::logProbabilities);
    float[][] values = each(now, ForwardPass.Outputs::values);
    int[] lengths = rows.stream().mapToInt(row -> row.response().length).toArray();
    PpoLoss.Policy policy =
        PpoLoss.policy(
            logProbabilities,
            each(rows, PpoExample::oldLogProbabilities),
            each(rows, PpoExample::advantages),
            lengths,
            CLIP,
            1);
    PpoLoss.Value value =
        PpoLoss.value(
            values,
            each(rows, PpoExample::oldValues),
            each(rows, PpoExample::returns),
            lengths,
            CLIP,
            1);
    assertThat(sums[Objective.COUNT]).isEqualTo(Arrays.stream(lengths).sum());
    assertThat(sums[PpoObjective.POLICY_LOSS]).isCloseTo(policy.loss(), within(1e-3));
    assertThat(sums[PpoObjective.VALUE_LOSS]).isCloseTo(value.loss(), within(1e-3));
    assertThat(sums[PpoObjective.RATIO]).isCloseTo(policy.ratio(), within(1e-3));
    assertThat(sums[PpoObjective.SQUARED_LOG_RATIO] / 2).isCloseTo(policy.approxKl(), within(1e-3));
    assertThat(sums[PpoObjective.CLIPPED]).isEqualTo(policy.clipFraction()).isPositive();
    assertThat(sums[PpoObjective.VALUE_CLIPPED]).isEqualTo(value.clipFraction()).isPositive();
    assertThat(sums[Objective.LOSS])
        .isEqualTo(sums[PpoObjective.POLICY_LOSS] + 0.1 * sums[PpoObjective.VALUE_LOSS]);
    assertThat(objective(0.1, 0).compute(moved, rows, null)).isEqualTo(sums);
  }

  @Test
  void theGradientIsTheSlopeOfTheLossForPolicyCriticAndEntropy() {
    float[] moved = moved(0.01);
    List<PpoExample> rows = learnable(20);
    PpoObjective objective = objective(0.5, 0.3);
    float[] gradient = new float[WEIGHTS.length];
    objective.compute(moved, rows, gradient);
    for (int part = 0; part < 2; part++) {
      int from = part == 0 ? 0 : MODELS.criticOffset();
      int to = part == 0 ? MODELS.criticOffset() : WEIGHTS.length;
      double norm = norm(gradient, from, to);
      double step = 2e-3;
      double up = loss(objective, along(moved, gradient, from, to, step / norm), rows);
      double down = loss(objective, along(moved, gradient, from, to, -step / norm), rows);
      assertThat((up - down) / (2 * step)).isCloseTo(norm, within(0.05 * norm));
    }
  }

  @ParameterizedTest
  @CsvSource({
    "TOKEN, RESPONSES, K2",
    "TOKEN, MAX_TOKENS, K3",
    "RESPONSE, RESPONSES, K3",
    "RESPONSE_MEAN, TOKENS, K2"
  })
  void theGradientIsTheSlopeOfTheLossOfAPolicyWithoutCritic(
      RatioLevel ratio, Averaging averaging, KlEstimator estimator) {
    float[] moved = Arrays.copyOf(moved(0.01), MODELS.policySize());
    List<PpoExample> rows = learnable(10);
    PpoObjective objective =
        new PpoObjective(
            new PpoModels(POLICY.config(), null),
            SAMPLING,
            new LossSettings(new PpoLoss.Clip(0.2, 0.2, 0.2, 3), ratio, averaging, 0, 0.1),
            new PpoObjective.Penalty(estimator, 0.5),
            true);
    float[] gradient = new float[moved.length];
    double[] sums = objective.compute(moved, rows, gradient);
    assertThat(sums[PpoObjective.KL]).isPositive();
    assertThat(objective.minibatch(sums).valueLoss()).isNaN();
    double norm = norm(gradient, 0, moved.length);
    double step = 1e-3;
    double up = loss(objective, along(moved, gradient, 0, moved.length, step / norm), rows);
    double down = loss(objective, along(moved, gradient, 0, moved.length, -step / norm), rows);
    assertThat((up - down) / (2 * step)).isCloseTo(norm, within(0.05 * norm));
  }

  @Test
  void aPolicyThatDoesNotLearnYetHasNoGradient() {
    PpoObjective objective =
        new PpoObjective(
            MODELS,
            SAMPLING,
            new LossSettings(CLIP, RatioLevel.TOKEN, Averaging.TOKENS, 0.1, 0.01),
            PpoObjective.Penalty.NONE,
            false);
    float[] gradient = new float[WEIGHTS.length];
    Arrays.fill(gradient, 7);
    objective.compute(moved(0.01), learnable(5), gradient);
    assertThat(norm(gradient, 0, MODELS.criticOffset())).isZero();
    assertThat(norm(gradient, MODELS.criticOffset(), WEIGHTS.length)).isPositive();
  }

  @Test
  void coefficientsScaleTheirPartOfTheGradientOnly() {
    float[] moved = moved(0.01);
    List<PpoExample> rows = learnable(10);
    float[] one = new float[WEIGHTS.length];
    float[] two = new float[WEIGHTS.length];
    float[] entropy = new float[WEIGHTS.length];
    objective(0.25, 0).compute(moved, rows, one);
    objective(0.5, 0).compute(moved, rows, two);
    objective(0.25, 0.1).compute(moved, rows, entropy);
    int border = MODELS.criticOffset();
    for (int i = 0; i < border; i++) {
      assertThat(two[i]).isEqualTo(one[i]);
    }
    for (int i = border; i < one.length; i++) {
      assertThat(two[i]).isEqualTo(2 * one[i]);
      assertThat(entropy[i]).isEqualTo(one[i]);
    }
    assertThat(Arrays.copyOf(entropy, border)).isNotEqualTo(Arrays.copyOf(one, border));
  }

  /** A trunk under both heads has the sum of the gradients that it has under either. */
  @Test
  void onASharedTrunkTheGradientsOfPolicyAndCriticAddUp() {
    LanguageModel both =
        POLICY.languageModel().withHead(TransformerConfig.Head.CAUSAL_LM_AND_SCORE, 5);
    LanguageModel critic = both.withHead(TransformerConfig.Head.SEQUENCE_CLASSIFICATION, 0);
    PpoModels apart = new PpoModels(POLICY.config(), critic.config());
    PpoModels shared = new PpoModels(both.config(), null);
    float[] weights = Trainables.all(POLICY.languageModel(), critic).initial();
    List<PpoExample> rows = learnable(20);
    float[] ofBoth = new float[shared.size()];
    float[] ofEach = new float[apart.size()];
    double[] sums = objective(shared, 0.3, 0.01).compute(both.weights(), rows, ofBoth);
    double[] expected = objective(apart, 0.3, 0.01).compute(weights, rows, ofEach);
    for (int i = 0; i < sums.length; i++) {
      assertThat(sums[i]).isCloseTo(expected[i], within(1e-3));
    }
    ParameterLayout ofCritic = critic.config().layout();
    for (ParameterLayout.Parameter parameter : both.config().layout().parameters()) {
      boolean head = parameter.name().equals(TransformerConfig.SCORE_NAME);
      boolean inCritic =
          ofCritic.parameters().stream().anyMatch(p -> p.name().equals(parameter.name()));
      float[] sum = new float[parameter.size()];
      for (int i = 0; i < sum.length; i++) {
        sum[i] = head ? 0 : ofEach[parameter.offset() + i];
        if (inCritic) {
          sum[i] +=
              ofEach[apart.criticOffset() + ofCritic.parameter(parameter.name()).offset() + i];
        }
      }
      float[] found =
          Arrays.copyOfRange(ofBoth, parameter.offset(), parameter.offset() + parameter.size());
      double scale = norm(sum, 0, sum.length);
      assertThat(scale).as(parameter.name()).isPositive();
      for (int i = 0; i < sum.length; i++) {
        assertThat((double) found[i]).as(parameter.name()).isCloseTo(sum[i], within(1e-4 * scale));
      }
    }
    assertThat(objective(shared, 0.3, 0.01).compute(both.weights(), rows, null)).isEqualTo(sums);
  }

  /** What the networks give for all rows, in micro-batches cut as the update cuts them. */
  private static Map<String, ForwardPass.Outputs> forward(LaneSettings settings) {
    Broadcast<FloatArray> reference = CONTEXT.broadcast(new FloatArray(moved(0.05)));
    try (TrainingEngine<PpoExample> engine =
        new TrainingEngine<>(
            CONTEXT, CONTEXT.parallelize(examples(40), 2), settings, objective(0.1, 0.01))) {
      Map<String, ForwardPass.Outputs> byId = new HashMap<>();
      ForwardPass pass = new ForwardPass(MODELS, reference, TEMPERATURE);
      for (ForwardPass.Outputs outputs : engine.map(WEIGHTS, 0, "test", pass)) {
        assertThat(byId.put(outputs.id(), outputs)).isNull();
        assertThat(outputs.reference()).isNotEqualTo(outputs.logProbabilities());
      }
      assertThat(byId).hasSize(40);
      return byId;
    } finally {
      reference.destroy();
    }
  }

  /** Rows with the outputs of the unmoved weights, and advantages and returns at random. */
  private static List<PpoExample> learnable(int count) {
    List<PpoExample> rows = examples(count);
    List<ForwardPass.Outputs> outputs = outputs(WEIGHTS, rows);
    List<PpoExample> learnable = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      PpoExample row = rows.get(i);
      ForwardPass.Outputs output = outputs.get(i);
      learnable.add(row.with(output, noise(row, 0, 1), plus(output.values(), noise(row, 1, 0.5))));
    }
    return learnable;
  }

  private static List<ForwardPass.Outputs> outputs(float[] weights, List<PpoExample> rows) {
    Broadcast<FloatArray> reference = CONTEXT.broadcast(new FloatArray(WEIGHTS));
    try {
      return new ForwardPass(MODELS, reference, TEMPERATURE).apply(weights, rows);
    } finally {
      reference.destroy();
    }
  }

  private static PpoObjective objective(double valueCoefficient, double entropyCoefficient) {
    return objective(MODELS, valueCoefficient, entropyCoefficient);
  }

  private static PpoObjective objective(
      PpoModels models, double valueCoefficient, double entropyCoefficient) {
    return new PpoObjective(
        models,
        SAMPLING,
        new LossSettings(
            CLIP, RatioLevel.TOKEN, Averaging.TOKENS, valueCoefficient, entropyCoefficient),
        PpoObjective.Penalty.NONE,
        true);
  }

  /** Rows of random tokens, 2 to 26 long. */
  private static List<PpoExample> examples(int count) {
    List<PpoExample> rows = new ArrayList<>();
    for (int row = 0; row < count; row++) {
      int[] prompt = tokens(row, 0, 1 + RANDOM.integer(10, row, 2));
      int[] response = tokens(row, 1, 1 + RANDOM.integer(16, row, 3));
      rows.add(new PpoExample("row-" + row, prompt, response, null, null, null, null, null));
    }
    return rows;
  }

  private static int[] tokens(int row, int part, int length) {
    int[] tokens = new int[length];
    for (int t = 0; t < length; t++) {
      tokens[t] = RANDOM.integer(97, row, part, t);
    }
    return tokens;
  }

  private static float[] noise(PpoExample row, int purpose, double deviation) {
    float[] noise = new float[row.response().length];
    for (int t = 0; t < noise.length; t++) {
      noise[t] = (float) (deviation * RANDOM.gaussian(row.id().hashCode(), purpose, t));
    }
    return noise;
  }

  private static float[] moved(double deviation) {
    float[] weights = WEIGHTS.clone();
    for (int i = 0; i < weights.length; i++) {
      weights[i] += (float) (deviation * RANDOM.gaussian(99, i));
    }
    return weights;
  }

  private static float[] along(
      float[] weights, float[] direction, int from, int to, double factor) {
    float[] moved = weights.clone();
    for (int i = from; i < to; i++) {
      moved[i] += (float) (factor * direction[i]);
    }
    return moved;
  }

  private static double loss(PpoObjective objective, float[] weights, List<PpoExample> rows) {
    return objective.compute(weights, rows, null)[Objective.LOSS];
  }

  private static double norm(float[] values, int from, int to) {
    double squares = 0;
    for (int i = from; i < to; i++) {
      squares += (double) values[i] * values[i];
    }
    return Math.sqrt(squares);
  }

  private static float[] plus(float[] first, float[] second) {
    float[] sum = first.clone();
    for (int i = 0; i < sum.length; i++) {
      sum[i] += second[i];
    }
    return sum;
  }

  private static <T> float[][] each(List<T> rows, Function<T, float[]> field) {
    return rows.stream().map(field).toArray(float[][]::new);
  }
}
