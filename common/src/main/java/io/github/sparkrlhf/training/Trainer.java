package io.github.sparkrlhf.training;

import io.github.sparkrlhf.lm.ParameterLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;

/**
 * Trains on a fixed set of rows: epochs of rounds, AdamW on the driver, checkpoints, exact resume.
 * The result is a pure function of initial weights, rows, settings and seed.
 */
public final class Trainer<E extends Example> {
  private static final String HISTORY = "history";

  /**
   * How to train.
   *
   * @param epochs times through all rows
   * @param learningRate the peak
   * @param warmupShare share of all steps over which the learning rate rises, in [0, 1]
   * @param decay what the learning rate does afterwards, down to 0
   * @param weightDecay on matrices; none on norms and biases
   * @param maxGradientNorm global gradient norm above which the gradient is scaled down
   * @param checkpointEverySteps steps between two checkpoints
   */
  public record Settings(
      int epochs,
      double learningRate,
      double warmupShare,
      LearningRateSchedule.Decay decay,
      double weightDecay,
      double maxGradientNorm,
      int checkpointEverySteps) {}

  /**
   * What a step did.
   *
   * @param step steps done, 1 after the first
   * @param epoch the epoch it belongs to, from 0
   * @param loss mean over the minibatch before the step
   * @param gradientNorm before clipping
   * @param learningRate of the step
   */
  public record Step(int step, int epoch, double loss, double gradientNorm, double learningRate) {
    private String line() {
      return step + " " + epoch + " " + loss + " " + gradientNorm + " " + learningRate;
    }

    private static Step parse(String line) {
      String[] parts = line.split(" ", -1);
      return new Step(
          Integer.parseInt(parts[0]),
          Integer.parseInt(parts[1]),
          Double.parseDouble(parts[2]),
          Double.parseDouble(parts[3]),
          Double.parseDouble(parts[4]));
    }
  }

  /**
   * A finished training.
   *
   * @param weights flat
   * @param steps what every step did, those before a resume included
   */
  public record Result(float[] weights, List<Step> steps) {}

  private final TrainingEngine<E> engine;
  private final Settings settings;
  private final String name;

  /**
   * A trainer over dealt rows.
   *
   * @param name what the progress lines and the Spark UI call it
   */
  public Trainer(TrainingEngine<E> engine, Settings settings, String name) {
    this.engine = engine;
    this.settings = settings;
    this.name = name;
  }

  /** Steps of the whole training. */
  public int totalSteps() {
    return settings.epochs() * engine.stepsPerEpoch();
  }

  /**
   * Trains, from the newest checkpoint if there is one.
   *
   * @param initialWeights flat; left as they are
   * @throws io.github.sparkrlhf.spark.JobFailure if a loss is not finite, or the checkpoints belong
   *     to another configuration
   */
  public Result train(
      float[] initialWeights, ParameterLayout layout, Checkpoints checkpoints, Progress progress) {
    float[] weights = initialWeights.clone();
    AdamW optimizer =
        new AdamW(
            weights.length,
            segments(layout, 0, 1),
            new AdamW.Settings(0.9, 0.999, 1e-8, settings.weightDecay()));
    List<Step> steps = new ArrayList<>();
    Optional<Checkpoint> resumed = checkpoints.latest();
    if (resumed.isPresent()) {
      System.arraycopy(resumed.get().weights(), 0, weights, 0, weights.length);
      resumed.get().restore(optimizer);
      resumed.get().extras().get(HISTORY).lines().map(Step::parse).forEach(steps::add);
    }
    int total = totalSteps();
    LearningRateSchedule schedule =
        new LearningRateSchedule(
            settings.learningRate(),
            Math.round(settings.warmupShare() * total),
            total,
            settings.decay(),
            0);
    for (int step = steps.size(); step < total; step++) {
      steps.add(step(weights, optimizer, schedule.at(step), step, total));
      progress.step(step + 1, describe(steps.get(step)));
      if ((step + 1) % settings.checkpointEverySteps() == 0 && step + 1 < total) {
        checkpoints.save(Checkpoint.of(step + 1, weights, optimizer, history(steps)));
      }
    }
    return new Result(weights, steps);
  }

  private Step step(float[] weights, AdamW optimizer, double learningRate, int step, int total) {
    int epoch = step / engine.stepsPerEpoch();
    TrainingEngine.Round round =
        engine.round(
            weights,
            epoch,
            step % engine.stepsPerEpoch(),
            name + ": step " + (step + 1) + " of " + total);
    double norm = GradientClipping.globalNorm(round.gradient(), settings.maxGradientNorm());
    optimizer.step(weights, round.gradient(), learningRate);
    return new Step(step + 1, epoch, round.loss(), norm, learningRate);
  }

  private static String describe(Step step) {
    return String.format(
        Locale.ROOT,
        "loss %.4f, gradient norm %.3f, learning rate %.2e",
        step.loss(),
        step.gradientNorm(),
        step.learningRate());
  }

  private static Map<String, String> history(List<Step> steps) {
    StringBuilder lines = new StringBuilder();
    steps.forEach(step -> lines.append(step.line()).append('\n'));
    return Map.of(HISTORY, lines.toString());
  }

  /**
   * The optimiser's segments of one model within the flat weights.
   *
   * @param offset where the model's weights begin
   * @param learningRateScale its learning rate over the schedule's
   */
  public static List<AdamW.Segment> segments(
      ParameterLayout layout, int offset, double learningRateScale) {
    return layout.parameters().stream()
        .map(
            parameter ->
                new AdamW.Segment(
                    offset + parameter.offset(),
                    parameter.size(),
                    learningRateScale,
                    parameter.decays()))
        .toList();
  }
}
