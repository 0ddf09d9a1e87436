package io.github.sparkrlhf.training;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.tuple;
import static org.assertj.core.api.Assertions.within;

import io.github.sparkrlhf.lm.ParameterLayout;
import io.github.sparkrlhf.lm.TransformerConfig;
import io.github.sparkrlhf.spark.SparkTestSession;
import io.github.sparkrlhf.training.LearningRateSchedule.Decay;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintStream;
import java.net.URISyntaxException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.api.java.JavaSparkContext;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class TrainerTest {
  private static final LaneSettings LANES = new LaneSettings(8, 2, 7);
  private static final LaneSettings ACCUMULATING =
      new LaneSettings(2, 4, 2, 7, LaneSettings.Order.BY_LENGTH);
  private static final int ROWS = 45;
  private static final ParameterLayout LAYOUT = SyntheticRows.CONFIG.layout();
  private static final float[] WEIGHTS = LAYOUT.initialWeights(3);
  private static final JavaSparkContext CONTEXT =
      JavaSparkContext.fromSparkContext(SparkTestSession.get().sparkContext());

  /** Enough to learn the 45 rows by heart, which makes the loss on other rows grow. */
  private static final Trainer.Settings OVERFITTING =
      new Trainer.Settings(9, 1e-2, 0.1, Decay.CONSTANT, 0.01, 1, 2);

  @TempDir Path directory;

  @Test
  void trainingGivesTheSameBitsOnAnyNumberOfPartitionsAndLearns() {
    Trainer.Result alone = train(1, "one", nothing());
    Trainer.Result two = train(2, "two", nothing());
    Trainer.Result four = train(4, "four", nothing());
    assertThat(two.weights()).isEqualTo(alone.weights());
    assertThat(two.steps()).isEqualTo(alone.steps());
    assertThat(four.weights()).isEqualTo(alone.weights());
    assertThat(four.steps()).isEqualTo(alone.steps());
    assertThat(alone.steps().get(8).loss()).isLessThan(alone.steps().get(0).loss() - 0.2);
    assertThat(alone.measured()).isNull();
    assertThat(alone.volume().tokens())
        .isEqualTo(3 * SyntheticRows.of(ROWS, 1).stream().mapToLong(TextExample::length).sum());
  }

  @Test
  void aTrainingResumedInTheMiddleOfAnEpochEndsAsIfItHadNeverStopped() {
    Trainer.Result uninterrupted = train(2, "uninterrupted", nothing());
    assertThatThrownBy(() -> train(2, "interrupted", stoppingAt(6))).hasMessage("pulled the plug");
    assertThat(directory.resolve("interrupted/step-00000004")).isDirectory();
    ByteArrayOutputStream lines = new ByteArrayOutputStream();
    Trainer.Result resumed =
        train(4, "interrupted", new PrintStream(lines, true, StandardCharsets.UTF_8));
    assertThat(lines.toString(StandardCharsets.UTF_8)).hasLineCount(5);
    assertThat(lines.toString(StandardCharsets.UTF_8).lines())
        .allMatch(
            line ->
                line.matches(
                    "test [5-9]/9: loss \\d\\.\\d{4}, gradient norm \\d\\.\\d{3}, learning rate"
                        + " \\d\\.\\d\\de-\\d\\d, [\\d,]+ tokens/s, \\d+ s left"));
    assertThat(resumed.weights()).isEqualTo(uninterrupted.weights());
    assertThat(resumed.steps()).isEqualTo(uninterrupted.steps()).hasSize(9);
  }

  @Test
  void theHeldOutRowsAreMeasuredBeforeTheTrainingAfterEveryEpochAndAtTheEnd() {
    try (TrainingEngine<TextExample> heldOut = heldOut()) {
      Trainer.Result epochs =
          train("epochs", LANES, settings(2), Validation.Settings.EVERY_EPOCH, nothing());
      assertThat(epochs.measurements())
          .extracting(Validation.Measurement::step, Validation.Measurement::epoch)
          .containsExactly(tuple(0, 0), tuple(3, 1), tuple(6, 2));
      assertThat(epochs.measurements().get(0).loss()).isEqualTo(loss(heldOut, WEIGHTS));
      assertThat(epochs.measured().loss()).isEqualTo(loss(heldOut, epochs.weights()));
      assertThat(epochs.weights())
          .as("measuring changes nothing")
          .isEqualTo(train("alone", LANES, settings(2), null, nothing()).weights());

      Trainer.Result steps =
          train("steps", LANES, settings(2), new Validation.Settings(4, 0), nothing());
      assertThat(steps.measurements())
          .extracting(Validation.Measurement::step, Validation.Measurement::epoch)
          .containsExactly(tuple(0, 0), tuple(4, 1), tuple(6, 2));
    }
  }

  @Test
  void aTrainingThatOverfitsStopsEarlyWithItsBestWeights() {
    Trainer.Result result =
        train("early", ACCUMULATING, OVERFITTING, new Validation.Settings(1, 3), nothing());
    List<Double> losses = result.measurements().stream().map(Validation.Measurement::loss).toList();
    int best = losses.indexOf(Collections.min(losses));
    assertThat(best).as("%s", losses).isBetween(1, 15);
    assertThat(result.steps()).hasSize(best + 3);
    assertThat(result.measured()).isEqualTo(result.measurements().get(best));
    try (TrainingEngine<TextExample> heldOut = heldOut()) {
      assertThat(loss(heldOut, result.weights())).isEqualTo(losses.get(best));
    }
  }

  @Test
  void withoutEnoughPatienceToStopTheBestWeightsAreGivenAllTheSame() {
    Trainer.Result result =
        train("patient", ACCUMULATING, OVERFITTING, new Validation.Settings(0, 99), nothing());
    assertThat(result.steps()).hasSize(27);
    assertThat(result.measured().step()).isLessThan(27);
    try (TrainingEngine<TextExample> heldOut = heldOut()) {
      assertThat(loss(heldOut, result.weights())).isEqualTo(result.measured().loss());
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 2, 4, 5, 7, 8, 10, 11})
  void aTrainingThatIsKilledAnywhereEndsAsIfItHadNeverStopped(int line) throws IOException {
    Validation.Settings early = new Validation.Settings(2, 2);
    ByteArrayOutputStream printed = new ByteArrayOutputStream();
    Trainer.Result expected =
        train(
            "whole",
            ACCUMULATING,
            OVERFITTING,
            early,
            new PrintStream(printed, true, StandardCharsets.UTF_8));
    assertThat(printed.toString(StandardCharsets.UTF_8))
        .as("six steps, four measurements, and that it stopped")
        .hasLineCount(11);

    assertThatThrownBy(() -> train("killed", ACCUMULATING, OVERFITTING, early, stoppingAt(line)))
        .hasMessage("pulled the plug");
    killedWhileWritingACheckpoint();
    Trainer.Result resumed = train("killed", ACCUMULATING, OVERFITTING, early, nothing());

    assertThat(resumed.weights()).isEqualTo(expected.weights());
    assertThat(resumed.steps()).isEqualTo(expected.steps());
    assertThat(resumed.measurements()).isEqualTo(expected.measurements());
    assertThat(resumed.measured()).isEqualTo(expected.measured());
  }

  @Test
  void accumulationTrainsLikeAMicroBatchAsLarge() {
    LaneSettings whole = new LaneSettings(2, 8, 7);
    Trainer.Result expected = train("whole", whole, settings(3), null, nothing());
    Trainer.Result found = train("parts", ACCUMULATING, settings(3), null, nothing());
    assertThat(found.steps()).hasSameSizeAs(expected.steps());
    for (int step = 0; step < found.steps().size(); step++) {
      assertThat(found.steps().get(step).loss())
          .isCloseTo(expected.steps().get(step).loss(), within(1e-3));
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"llama", "qwen2", "gpt2"})
  void weightDecayIsOffNormsAndBiases(String model) throws URISyntaxException {
    ParameterLayout layout =
        TransformerConfig.load(
                Path.of(getClass().getResource("/golden/" + model + "/config.json").toURI()))
            .layout();
    List<AdamW.Segment> segments = Trainer.segments(layout, 0, 1);
    List<String> undecayed = new ArrayList<>();
    for (int i = 0; i < segments.size(); i++) {
      if (!segments.get(i).decay()) {
        undecayed.add(layout.parameters().get(i).name());
      }
    }
    assertThat(undecayed)
        .isNotEmpty()
        .containsExactlyElementsOf(
            layout.parameters().stream()
                .map(ParameterLayout.Parameter::name)
                .filter(name -> name.matches(".*(norm|\\.ln_).*|.*\\.bias"))
                .toList());
  }

  private Trainer.Result train(int parallelism, String checkpoints, PrintStream out) {
    try (TrainingEngine<TextExample> engine = engine(rdd(3), LANES, parallelism)) {
      return train(new Trainer<>(engine, settings(3), "test"), checkpoints, out);
    }
  }

  /** Trains in the way described, without validation if its settings are null. */
  private Trainer.Result train(
      String checkpoints,
      LaneSettings lanes,
      Trainer.Settings settings,
      Validation.Settings validation,
      PrintStream out) {
    try (TrainingEngine<TextExample> engine = engine(rdd(3), lanes, 2);
        TrainingEngine<TextExample> heldOut = heldOut()) {
      Trainer<TextExample> trainer = new Trainer<>(engine, settings, "test");
      if (validation != null) {
        trainer.optValidation(
            new Validation<>(heldOut, validation, measured -> "loss " + measured.loss()));
      }
      return train(trainer, checkpoints, out);
    }
  }

  private Trainer.Result train(Trainer<TextExample> trainer, String checkpoints, PrintStream out) {
    return trainer.train(
        WEIGHTS,
        LAYOUT,
        new Checkpoints(directory.resolve(checkpoints), "digest", LAYOUT.tensors(""), 2),
        new Progress(out, "test", trainer.totalSteps()));
  }

  private static Trainer.Settings settings(int epochs) {
    return new Trainer.Settings(epochs, 5e-3, 0.2, Decay.COSINE, 0.01, 1, 2);
  }

  /** A hidden directory without a state, as it is before the rename. */
  private void killedWhileWritingACheckpoint() throws IOException {
    Path killed = directory.resolve("killed/.step-written-in-part");
    Files.createDirectories(killed);
    Files.write(killed.resolve("weights.safetensors"), new byte[100]);
  }

  private static double loss(TrainingEngine<TextExample> heldOut, float[] weights) {
    double[] sums = heldOut.evaluate(weights, "test");
    return sums[Objective.LOSS] / sums[Objective.COUNT];
  }

  private static PrintStream nothing() {
    return new PrintStream(OutputStream.nullOutputStream(), true, StandardCharsets.UTF_8);
  }

  /** Fails instead of printing a line, counted from 1. */
  private static PrintStream stoppingAt(int number) {
    return new PrintStream(OutputStream.nullOutputStream(), true, StandardCharsets.UTF_8) {
      private int printed;

      @Override
      public void println(String line) {
        printed++;
        if (printed == number) {
          throw new IllegalStateException("pulled the plug");
        }
      }
    };
  }

  private static TrainingEngine<TextExample> heldOut() {
    return engine(CONTEXT.parallelize(SyntheticRows.of(20, 2), 2), LANES, 2);
  }

  private static TrainingEngine<TextExample> engine(
      JavaRDD<TextExample> rows, LaneSettings lanes, int parallelism) {
    return new TrainingEngine<>(
        CONTEXT, rows, lanes, new LanguageModelObjective(SyntheticRows.CONFIG), parallelism);
  }

  private static JavaRDD<TextExample> rdd(int partitions) {
    List<TextExample> rows = new ArrayList<>(SyntheticRows.of(ROWS, 1));
    Collections.shuffle(rows, new Random(partitions));
    return CONTEXT.parallelize(rows, partitions);
  }
}
