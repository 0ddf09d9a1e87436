package io.github.sparkrlhf.training;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.sparkrlhf.lm.ParameterLayout;
import io.github.sparkrlhf.spark.JobFailure;
import io.github.sparkrlhf.spark.SparkTestSession;
import io.github.sparkrlhf.training.LearningRateSchedule.Decay;
import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import org.apache.spark.api.java.JavaSparkContext;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class LocalStepsTest {
  private static final ParameterLayout LAYOUT = SyntheticRows.CONFIG.layout();
  private static final float[] WEIGHTS = LAYOUT.initialWeights(3);
  private static final LaneSettings EIGHT_LANES = new LaneSettings(8, 2, 7);
  private static final LocalSteps TWO = new LocalSteps(2, 0.7, 0.5);

  @TempDir Path directory;

  @Test
  void giveTheSameBitsOnAnyNumberOfPartitionsAndLearn() {
    Trainer.Result alone = train(EIGHT_LANES, TWO, 1, "one", -1);
    Trainer.Result four = train(EIGHT_LANES, TWO, 4, "four", -1);

    assertThat(four.weights()).isEqualTo(alone.weights());
    assertThat(four.steps()).isEqualTo(alone.steps());
    // Three steps an epoch: rounds of two steps and of one.
    assertThat(alone.steps()).extracting(Trainer.Step::step).containsExactly(2, 3, 5, 6, 8, 9);
    assertThat(alone.steps().get(5).loss()).isLessThan(alone.steps().get(0).loss() - 0.1);
  }

  @Test
  void resumeAsIfTheyHadNeverStopped() {
    Trainer.Result uninterrupted = train(EIGHT_LANES, TWO, 2, "uninterrupted", -1);
    assertThatThrownBy(() -> train(EIGHT_LANES, TWO, 2, "interrupted", 5))
        .hasMessage("pulled the plug");

    Trainer.Result resumed = train(EIGHT_LANES, TWO, 1, "interrupted", -1);

    assertThat(resumed.weights()).isEqualTo(uninterrupted.weights());
    assertThat(resumed.steps()).isEqualTo(uninterrupted.steps());
  }

  @Test
  void ofOneLaneThatGoesAllTheWayAreTheStepsOfSynchronousTraining() {
    LaneSettings oneLane = new LaneSettings(1, 45, 7);
    Trainer.Result synchronous = train(oneLane, LocalSteps.SYNCHRONOUS, 1, "synchronous", -1);
    Trainer.Result local = train(oneLane, new LocalSteps(2, 1, 0), 1, "local", -1);

    // One step an epoch: AdamW begins anew after each, which the first round does not feel.
    assertThat(local.steps().get(1).loss()).isEqualTo(synchronous.steps().get(1).loss());
    assertThat(local.weights()).isNotEqualTo(synchronous.weights());
  }

  @Test
  void outOfRangeAreRefused() {
    assertThatThrownBy(() -> new LocalSteps(0, 0.7, 0.9)).isInstanceOf(JobFailure.class);
    assertThatThrownBy(() -> new LocalSteps(4, Double.NaN, 0.9)).isInstanceOf(JobFailure.class);
    assertThatThrownBy(() -> new LocalSteps(4, 0.7, 1)).isInstanceOf(JobFailure.class);
  }

  /** Trains for three epochs; fails at a line of progress unless that is negative. */
  private Trainer.Result train(
      LaneSettings lanes, LocalSteps local, int parallelism, String checkpoints, int failingLine) {
    JavaSparkContext context =
        JavaSparkContext.fromSparkContext(SparkTestSession.get().sparkContext());
    Trainer.Settings settings = new Trainer.Settings(3, 5e-3, 0.2, Decay.COSINE, 0.01, 1, 2, local);
    PrintStream out =
        new PrintStream(OutputStream.nullOutputStream(), true, StandardCharsets.UTF_8) {
          private int printed;

          @Override
          public void println(String line) {
            printed++;
            if (printed == failingLine) {
              throw new IllegalStateException("pulled the plug");
            }
          }
        };
    try (TrainingEngine<TextExample> engine =
        new TrainingEngine<>(
            context,
            context.parallelize(SyntheticRows.of(45, 1), 3),
            lanes,
            new LanguageModelObjective(SyntheticRows.CONFIG),
            parallelism)) {
      Trainer<TextExample> trainer = new Trainer<>(engine, settings, "test");
      return trainer.train(
          WEIGHTS,
          LAYOUT,
          new Checkpoints(directory.resolve(checkpoints), "digest", LAYOUT.tensors(""), 2),
          new Progress(out, "test", trainer.totalSteps()));
    }
  }
}
