package io.github.sparkrlhf.ppo;

import static io.github.sparkrlhf.ppo.TinyPpo.POLICY;
import static io.github.sparkrlhf.ppo.TinyPpo.Recording;
import static io.github.sparkrlhf.ppo.TinyPpo.SmallLetters;
import static io.github.sparkrlhf.ppo.TinyPpo.assertSame;
import static io.github.sparkrlhf.ppo.TinyPpo.prompts;
import static io.github.sparkrlhf.ppo.TinyPpo.settings;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.sparkrlhf.ppo.WatchdogSettings.Action;
import io.github.sparkrlhf.ppo.WatchdogSettings.Bounds;
import io.github.sparkrlhf.reward.RewardModel;
import io.github.sparkrlhf.spark.JobFailure;
import io.github.sparkrlhf.spark.SparkTestSession;
import io.github.sparkrlhf.training.Progress;
import io.github.sparkrlhf.training.Trainables;
import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What the watchdog does to a training. */
class PpoWatchdogTest {
  private static final double INFINITE = Double.POSITIVE_INFINITY;
  private static final int ITERATIONS = 12;

  @TempDir private Path directory;

  private final ByteArrayOutputStream told = new ByteArrayOutputStream();

  /** Falls when the training's reward rises. */
  private record NoSmallLetters() implements RewardModel {
    @Override
    public String kind() {
      return "no small letters";
    }

    @Override
    public Dataset<Row> score(Dataset<Row> rows) {
      Dataset<Row> scored = new SmallLetters().score(rows);
      return scored.withColumn(SCORE, scored.col(SCORE).multiply(-1));
    }

    @Override
    public void save(Path target, Map<String, Object> provenance) {
      throw new UnsupportedOperationException();
    }
  }

  private static final RewardSources WATCHED =
      new RewardSources(TinyPpo.REWARD.models(), Optional.of(new NoSmallLetters()), List.of());

  @Test
  void overOptimisationStopsAndTheBestIsKeptAlsoByARunThatIsKilledAndStartedAgain() {
    Recording whole = new Recording(-1);
    PpoTrainer.Result uninterrupted = train("whole", WATCHED, stopping(), whole);
    assertStopped(uninterrupted, whole);
    Recording broken = new Recording(uninterrupted.iterations() - 1);
    assertThatThrownBy(() -> train("broken", WATCHED, stopping(), broken))
        .hasMessage("pulled the plug");
    Recording resumed = new Recording(-1);
    resumed.rows.putAll(broken.rows);
    resumed.metrics.putAll(broken.metrics);
    PpoTrainer.Result result = train("broken", WATCHED, stopping(), resumed);
    assertThat(resumed.told.get(0)).isPositive();
    assertSame(result, resumed, uninterrupted, whole);
    assertThat(result.alarms()).isEqualTo(uninterrupted.alarms());
    assertThat(result.bestIteration()).isEqualTo(uninterrupted.bestIteration());
  }

  private void assertStopped(PpoTrainer.Result result, Recording recording) {
    assertThat(result.stopped()).isTrue();
    assertThat(result.iterations()).isBetween(4, ITERATIONS - 1);
    int last = result.iterations();
    assertThat(recording.told).hasSize(last + 1);
    assertThat(recording.metrics.get(last - 1))
        .containsEntry("watchdog/alarms", 1.0)
        .doesNotContainKey("loss/policy_avg");
    for (int iteration = 0; iteration < last; iteration++) {
      assertThat(recording.metric(iteration, "watchdog/scores"))
          .isLessThanOrEqualTo(recording.metric(result.bestIteration(), "watchdog/scores"));
    }
    assertThat(recording.metric(last, "watchdog/scores"))
        .as("of the policy that is kept")
        .isGreaterThan(recording.metric(last - 1, "watchdog/scores"));
    assertThat(result.alarms())
        .singleElement()
        .satisfies(alarm -> assertThat(alarm.iteration()).isEqualTo(last - 1));
    assertThat(told.toString(StandardCharsets.UTF_8))
        .contains(", watcher -")
        .contains("ppo: watchdog, iteration %d: the score has risen".formatted(last - 1))
        .contains("kept the weights before the update of iteration " + result.bestIteration());
  }

  @Test
  void aBoundThatIsLeftHalvesTheLearningRate() {
    Bounds tight = new Bounds(0.001, 0, INFINITE, INFINITE, 0, 0, INFINITE);
    Recording recording = new Recording(-1);
    PpoTrainer.Result result =
        train(
            "run",
            TinyPpo.REWARD,
            settings(
                Algorithm.REINFORCE_PLUS_PLUS,
                4,
                0,
                new WatchdogSettings(Action.LOWER_LEARNING_RATE, 2, tight)),
            recording);
    assertThat(result.stopped()).isFalse();
    assertThat(result.alarms()).hasSize(3);
    double rate = recording.metric(0, "lr");
    assertThat(recording.metric(1, "lr")).isEqualTo(rate * 3 / 4 / 2);
    assertThat(recording.metric(2, "lr")).isEqualTo(rate * 2 / 4 / 2);
    assertThat(recording.metric(3, "lr")).isEqualTo(rate * 1 / 4 / 4);
  }

  @Test
  void aLossThatIsNoNumberFailsOrKeepsTheBestWeights() {
    assertThatThrownBy(
            () -> train("warn", TinyPpo.REWARD, explosive(Action.WARN), new Recording(-1)))
        .isInstanceOfSatisfying(
            JobFailure.class, e -> assertThat(e.kind()).isEqualTo(JobFailure.Kind.NOT_FINITE));
    Recording recording = new Recording(-1);
    PpoTrainer.Result result = train("stop", TinyPpo.REWARD, explosive(Action.STOP), recording);
    assertThat(result.stopped()).isTrue();
    assertThat(result.policy().weights()).isEqualTo(POLICY.weights());
    assertThat(recording.told).containsExactly(0, 1);
    assertThat(recording.metric(1, "objective/kl")).isZero();
    assertThat(result.alarms())
        .singleElement()
        .satisfies(
            alarm ->
                assertThat(alarm.reason()).contains("loss or gradient is not a finite number"));
  }

  private static PpoSettings stopping() {
    return settings(
        Algorithm.REINFORCE_PLUS_PLUS,
        ITERATIONS,
        0,
        new WatchdogSettings(Action.STOP, 2, Bounds.NONE));
  }

  /** A first step beyond all floats. */
  private static PpoSettings explosive(Action action) {
    PpoSettings sane =
        settings(Algorithm.REINFORCE_PLUS_PLUS, 2, 0, new WatchdogSettings(action, 2, Bounds.NONE));
    PpoSettings.Update update = sane.update();
    return new PpoSettings(
        sane.algorithm(),
        sane.iterations(),
        sane.sampling(),
        sane.reward(),
        new PpoSettings.Update(
            update.epochs(),
            update.minibatches(),
            0,
            1e30,
            1e30,
            update.loss(),
            update.maxGradientNorm(),
            INFINITE),
        sane.watchdog(),
        sane.lanes(),
        sane.checkpointEveryIterations(),
        sane.seed());
  }

  private PpoTrainer.Result train(
      String name, RewardSources sources, PpoSettings settings, Recording recording) {
    PpoTrainer trainer =
        new PpoTrainer(SparkTestSession.get(), Trainables.all(POLICY), sources, settings);
    Progress progress =
        new Progress(
            new PrintStream(told, true, StandardCharsets.UTF_8), "ppo", settings.iterations());
    return trainer.train(
        prompts(), TinyPpo.checkpoints(directory.resolve(name), trainer), recording, progress);
  }
}
