package io.github.sparkrlhf.training;

import io.github.sparkrlhf.spark.JobFailure;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.Function;
import java.util.stream.Collectors;

/**
 * Measures a training on rows that it does not learn from, and says when it has stopped to improve.
 *
 * @param <E> the rows
 */
public final class Validation<E extends Example> {
  /**
   * When to measure and when to stop.
   *
   * @param everySteps steps between two measurements; 0 for an epoch
   * @param patience measurements without a new lowest loss after which the training stops, and its
   *     result are the weights of the lowest; 0 never stops and gives the last weights
   */
  public record Settings(int everySteps, int patience) {
    /** After every epoch, without ever stopping. */
    public static final Settings EVERY_EPOCH = new Settings(0, 0);

    /** Checks the ranges. */
    public Settings {
      if (everySteps < 0 || patience < 0) {
        throw JobFailure.usage(
            "Cannot validate every " + everySteps + " steps with patience " + patience);
      }
    }
  }

  /**
   * A measurement.
   *
   * @param step steps done before it; 0 before the training
   * @param epoch epochs completed before it
   * @param sums of the objective over all rows
   */
  public record Measurement(int step, int epoch, List<Double> sums) {
    /** The mean loss. */
    public double loss() {
      return sums.get(Objective.LOSS) / sums.get(Objective.COUNT);
    }

    private String line() {
      return step
          + " "
          + epoch
          + " "
          + sums.stream().map(String::valueOf).collect(Collectors.joining(" "));
    }

    private static Measurement parse(String line) {
      List<String> parts = Arrays.asList(line.split(" ", -1));
      return new Measurement(
          Integer.parseInt(parts.get(0)),
          Integer.parseInt(parts.get(1)),
          parts.subList(2, parts.size()).stream().map(Double::valueOf).toList());
    }
  }

  private final TrainingEngine<E> engine;
  private final Settings settings;
  private final Function<Measurement, String> description;

  /**
   * A validation.
   *
   * @param engine holds the rows; its gradients are not asked for
   * @param description what a person is told of a measurement
   */
  public Validation(
      TrainingEngine<E> engine, Settings settings, Function<Measurement, String> description) {
    this.engine = engine;
    this.settings = settings;
    this.description = description;
  }

  /** Whether the result of the training is its best weights rather than the last. */
  boolean keepsBest() {
    return settings.patience() > 0;
  }

  /** Whether to measure after these steps: before the first, every so often, after the last. */
  boolean isDue(int from, int step, int stepsPerEpoch, int totalSteps) {
    int every = settings.everySteps() > 0 ? settings.everySteps() : stepsPerEpoch;
    return Trainer.passes(every, from, step) || step == totalSteps;
  }

  Measurement measure(float[] weights, int step, int epoch, String name) {
    double[] sums = engine.evaluate(weights, name + ": validation after step " + step);
    return new Measurement(step, epoch, Arrays.stream(sums).boxed().toList());
  }

  String describe(Measurement measurement) {
    return description.apply(measurement);
  }

  /** Whether so many measurements in a row have brought no new lowest loss that it is enough. */
  boolean stops(List<Measurement> measurements) {
    return keepsBest()
        && measurements.size() - 1 - indexOfBest(measurements) >= settings.patience();
  }

  /** Whether the newest measurement is better than all before. */
  static boolean newestIsBest(List<Measurement> measurements) {
    return indexOfBest(measurements) == measurements.size() - 1;
  }

  /** The measurement with the lowest loss, the earliest of equals; −1 if there is none. */
  static int indexOfBest(List<Measurement> measurements) {
    int best = -1;
    for (int i = 0; i < measurements.size(); i++) {
      if (best < 0 || measurements.get(i).loss() < measurements.get(best).loss()) {
        best = i;
      }
    }
    return best;
  }

  /** Measurements as text that {@link #parse} reads back, to the last bit. */
  static String lines(List<Measurement> measurements) {
    return measurements.stream().map(Measurement::line).collect(Collectors.joining("\n"));
  }

  static List<Measurement> parse(String lines) {
    return new ArrayList<>(lines.lines().map(Measurement::parse).toList());
  }
}
