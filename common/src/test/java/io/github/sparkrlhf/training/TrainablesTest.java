package io.github.sparkrlhf.training;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.github.sparkrlhf.lm.LanguageModel;
import io.github.sparkrlhf.lm.Lora;
import io.github.sparkrlhf.lm.ParameterLayout;
import io.github.sparkrlhf.lm.TestTokenizers;
import io.github.sparkrlhf.lm.TransformerConfig;
import io.github.sparkrlhf.spark.CounterRandom;
import io.github.sparkrlhf.spark.SparkTestSession;
import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.scheduler.SparkListener;
import org.apache.spark.scheduler.SparkListenerBlockUpdated;
import org.apache.spark.scheduler.SparkListenerTaskEnd;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class TrainablesTest {
  private static final LaneSettings LANES = new LaneSettings(8, 2, 7);
  private static final int ROWS = 45;
  private static final Lora LORA = new Lora(2, 4, List.of(Lora.ALL_LINEAR));
  private static final LanguageModel BASE = model(SyntheticRows.CONFIG, 3);
  private static final JavaSparkContext CONTEXT =
      JavaSparkContext.fromSparkContext(SparkTestSession.get().sparkContext());

  @TempDir Path directory;

  @Test
  void adaptersLearnWithTheSameBitsOnAnyNumberOfPartitionsAndAfterAnInterruption() {
    float[] before = BASE.weights().clone();
    Trainer.Result alone = train(1, "one", "");
    Trainer.Result spread = train(4, "four", "");
    assertThatThrownBy(() -> train(2, "interrupted", "test 6/9")).hasMessage("pulled the plug");
    Trainer.Result resumed = train(2, "interrupted", "");
    assertThat(spread.weights()).isEqualTo(alone.weights());
    assertThat(resumed.weights()).isEqualTo(alone.weights());
    assertThat(resumed.steps()).isEqualTo(alone.steps()).hasSize(9);
    assertThat(alone.steps().get(8).loss()).isLessThan(alone.steps().get(0).loss() - 0.05);
    assertThat(BASE.weights()).isEqualTo(before);
    try (Trainables adapters = adapters()) {
      float[] merged = adapters.model(0, alone.weights()).weights();
      for (ParameterLayout.Parameter parameter : BASE.config().layout().parameters()) {
        int from = parameter.offset();
        int to = from + parameter.size();
        assertThat(Arrays.equals(merged, from, to, before, from, to))
            .as(parameter.name())
            .isEqualTo(!parameter.name().endsWith("_proj.weight"));
      }
    }
  }

  /** Along the gradient a small step changes the loss by the gradient's squared norm. */
  @Test
  void theGradientOfTheAdaptersIsTheSlopeOfTheLoss() {
    try (Trainables adapters = adapters()) {
      Objective<TextExample> objective =
          adapters.objective(new LanguageModelObjective(SyntheticRows.CONFIG));
      List<TextExample> rows = SyntheticRows.of(8, 1);
      float[] trained = random(adapters.initial().length);
      float[] gradient = new float[trained.length];
      double[] sums = objective.compute(trained, rows, gradient);
      assertThat(objective.compute(trained, rows, null)).isEqualTo(sums);
      double squares = 0;
      for (float value : gradient) {
        squares += (double) value * value;
      }
      double step = 0.02 / Math.sqrt(squares);
      double slope =
          (objective.compute(moved(trained, gradient, step), rows, null)[Objective.LOSS]
                  - objective.compute(moved(trained, gradient, -step), rows, null)[Objective.LOSS])
              / (2 * step);
      assertThat(slope).isCloseTo(squares, within(0.01 * squares)).isGreaterThan(1);
    }
  }

  @Test
  void whatIsBroadcastIsMergedOnceAndOtherAdaptersGiveOtherWeights() {
    try (Trainables adapters = adapters()) {
      WeightView view = adapters.view();
      float[] first = random(adapters.initial().length);
      float[] other = first.clone();
      other[0] += 1;
      float[] merged = view.all(first);
      assertThat(merged).isEqualTo(adapters.model(0, first).weights());
      assertThat(adapters.view().all(first)).isSameAs(merged);
      assertThat(view.all(other)).isEqualTo(adapters.model(0, other).weights());
      assertThat(view.all(adapters.initial())).isEqualTo(BASE.weights());
    }
  }

  @Test
  void theModelsOfATrainingStandOneAfterTheOther() {
    LanguageModel second =
        model(SyntheticRows.CONFIG.withHead(TransformerConfig.Head.SEQUENCE_CLASSIFICATION), 4);
    try (Trainables adapters = Trainables.adapters(CONTEXT, LORA, 1, BASE, second)) {
      float[] trained = random(adapters.initial().length);
      float[] both = adapters.view().all(trained);
      int size = BASE.weights().length;
      assertThat(Arrays.copyOf(both, size)).isEqualTo(adapters.model(0, trained).weights());
      assertThat(Arrays.copyOfRange(both, size, both.length))
          .isEqualTo(adapters.model(1, trained).weights());
      assertThat(adapters.viewOfFirst().all(adapters.part(0, trained)))
          .isEqualTo(adapters.model(0, trained).weights());
      assertThat(adapters.part(0, adapters.initial()))
          .as("each model has its own first adapters")
          .isNotEqualTo(
              Arrays.copyOf(adapters.part(1, adapters.initial()), adapters.layout(0).size()));
    }
    Trainables all = Trainables.all(BASE, second);
    assertThat(all.model(1, all.initial()).weights()).isEqualTo(second.weights());
    assertThat(all.offset(1)).isEqualTo(BASE.weights().length);
  }

  @Test
  void aRoundMovesWhatTheReportSaysAndWithAdaptersMuchLess() throws TimeoutException {
    LanguageModel model = model(TransformerConfig.llama(97, 64, 160, 2, 4, 32), 5);
    Trainables all = Trainables.all(model);
    try (Trainables adapters = Trainables.adapters(CONTEXT, LORA, 1, model)) {
      long full = 4L * model.weights().length;
      long small = 4L * adapters.initial().length;
      assertThat(full).isGreaterThan(20 * small);
      assertThat(all.traffic())
          .containsOnlyKeys("trained_parameters", "round_broadcast_bytes", "round_result_bytes");
      assertThat(bytes(adapters, "round_broadcast_bytes")).isBetween(small, small + 500);
      assertThat(bytes(adapters, "round_result_bytes")).isBetween(small, small + 1_000);
      assertThat(bytes(adapters, "round_broadcast_bytes_without_lora"))
          .isEqualTo(bytes(all, "round_broadcast_bytes"))
          .isBetween(full, full + full / 100);
      assertThat(bytes(adapters, "round_result_bytes_without_lora"))
          .isEqualTo(bytes(all, "round_result_bytes"))
          .isBetween(full, full + full / 100);
      assertMoves(all, model);
      assertMoves(adapters, model);
    }
  }

  /** Spark's own figures: those of the report, and the closure and the task's metrics. */
  private static void assertMoves(Trainables trainables, LanguageModel model)
      throws TimeoutException {
    AtomicLong broadcast = new AtomicLong();
    AtomicLong result = new AtomicLong();
    SparkListener listener =
        new SparkListener() {
          @Override
          public void onBlockUpdated(SparkListenerBlockUpdated event) {
            // What is removed again is told without a level.
            if (event.blockUpdatedInfo().storageLevel().isValid()
                && event.blockUpdatedInfo().blockId().name().matches("broadcast_\\d+_piece\\d+")) {
              broadcast.addAndGet(event.blockUpdatedInfo().memSize());
            }
          }

          @Override
          public void onTaskEnd(SparkListenerTaskEnd event) {
            result.accumulateAndGet(event.taskMetrics().resultSize(), Math::max);
          }
        };
    try (TrainingEngine<TextExample> engine =
        new TrainingEngine<>(
            CONTEXT,
            CONTEXT.parallelize(SyntheticRows.of(ROWS, 1), 2),
            LANES,
            trainables.objective(new LanguageModelObjective(model.config())))) {
      engine.exchangeThroughSpark();
      CONTEXT.sc().listenerBus().waitUntilEmpty();
      CONTEXT.sc().addSparkListener(listener);
      engine.round(random(trainables.initial().length), 0, 0, "test");
      CONTEXT.sc().listenerBus().waitUntilEmpty();
    } finally {
      CONTEXT.sc().removeSparkListener(listener);
    }
    long overhead = 40_000;
    long sent = bytes(trainables, "round_broadcast_bytes");
    long returned = bytes(trainables, "round_result_bytes");
    // Random weights compress by a few percent.
    assertThat(broadcast.get()).isBetween((long) (0.85 * sent), sent + overhead);
    assertThat(result.get()).isBetween(returned, returned + overhead);
  }

  private static long bytes(Trainables trainables, String name) {
    return (Long) trainables.traffic().get(name);
  }

  private Trainer.Result train(int parallelism, String checkpoints, String stopAt) {
    Trainer.Settings settings =
        new Trainer.Settings(3, 2e-2, 0.2, LearningRateSchedule.Decay.COSINE, 0.01, 1, 2);
    try (Trainables adapters = adapters();
        TrainingEngine<TextExample> engine =
            new TrainingEngine<>(
                CONTEXT,
                CONTEXT.parallelize(SyntheticRows.of(ROWS, 1), 3),
                LANES,
                adapters.objective(new LanguageModelObjective(SyntheticRows.CONFIG)),
                parallelism)) {
      Trainer<TextExample> trainer = new Trainer<>(engine, settings, "test");
      return trainer.train(
          adapters.initial(),
          adapters.layout(0),
          new Checkpoints(
              directory.resolve(checkpoints), "digest", adapters.layout(0).tensors(""), 2),
          new Progress(stoppingAt(stopAt), "test", trainer.totalSteps()));
    }
  }

  private static PrintStream stoppingAt(String start) {
    return new PrintStream(OutputStream.nullOutputStream(), true, StandardCharsets.UTF_8) {
      @Override
      public void println(String line) {
        if (!start.isEmpty() && line.startsWith(start)) {
          throw new IllegalStateException("pulled the plug");
        }
      }
    };
  }

  private static Trainables adapters() {
    return Trainables.adapters(CONTEXT, LORA, 1, BASE);
  }

  private static LanguageModel model(TransformerConfig config, long seed) {
    return new LanguageModel(config, config.layout().initialWeights(seed), TestTokenizers.bytes());
  }

  private static float[] moved(float[] from, float[] direction, double step) {
    float[] result = new float[from.length];
    for (int i = 0; i < result.length; i++) {
      result[i] = (float) (from[i] + step * direction[i]);
    }
    return result;
  }

  private static float[] random(int size) {
    CounterRandom random = new CounterRandom(6, "trainables test");
    float[] values = new float[size];
    for (int i = 0; i < size; i++) {
      values[i] = (float) (0.2 * random.gaussian(i));
    }
    return values;
  }
}
