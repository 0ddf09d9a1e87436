package io.github.sparkrlhf.training;

import io.github.sparkrlhf.spark.CounterRandom;
import io.github.sparkrlhf.spark.JobFailure;
import io.github.sparkrlhf.spark.StableHash;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.stream.IntStream;

/**
 * The rows of one lane and the plan that cuts them into micro-batches.
 *
 * <p>In each epoch the rows are shuffled, or sorted by their length, blurred a little so that the
 * neighbours change from epoch to epoch, and cut into as many runs as the epoch has steps. All
 * lanes go through their runs in the same random order: since rows are dealt by hash, the k-th run
 * of every lane holds rows of about the same length. A run is cut into the micro-batches of its
 * step, each of rows as similar in length as there are.
 */
final class Lane<E extends Example> implements Serializable {
  private static final long serialVersionUID = 1L;
  private static final double LENGTH_BLUR = 0.1;

  private final int number;
  private final ArrayList<E> rows;

  // The plan of the latest epoch asked for: a pure function of the fields above, kept because
  // every step needs it.
  private transient volatile Plan plan;

  private record Plan(int epoch, int steps, LaneSettings settings, int[] order, int[] runOfStep) {}

  Lane(int number, List<E> rows) {
    this.number = number;
    this.rows = new ArrayList<>(rows);
    this.rows.sort(Comparator.comparing(Example::id));
    for (int i = 1; i < this.rows.size(); i++) {
      if (this.rows.get(i).id().equals(this.rows.get(i - 1).id())) {
        throw JobFailure.failure(
            "Cannot train: the row id " + this.rows.get(i).id() + " occurs more than once");
      }
    }
  }

  int number() {
    return number;
  }

  int size() {
    return rows.size();
  }

  /**
   * The rows of one step as micro-batches, none of them empty; the steps of an epoch hold each row
   * once.
   *
   * @param step in {@code [0, steps)}
   * @param steps number of steps of the epoch
   */
  List<List<E>> microBatches(int epoch, int step, int steps, LaneSettings settings) {
    List<E> run = rows(epoch, step, steps, settings);
    if (settings.accumulate() > 1) {
      run.sort(Comparator.comparingInt(Example::length));
    }
    int parts = Math.min(run.size(), settings.accumulate());
    List<List<E>> batches = new ArrayList<>(parts);
    for (long part = 0; part < parts; part++) {
      int from = (int) (part * run.size() / parts);
      int to = (int) ((part + 1) * run.size() / parts);
      batches.add(run.subList(from, to));
    }
    return batches;
  }

  /** The rows of one step. */
  List<E> rows(int epoch, int step, int steps, LaneSettings settings) {
    Plan current = plan(epoch, steps, settings);
    long run = current.runOfStep()[step];
    int from = (int) (run * rows.size() / steps);
    int to = (int) ((run + 1) * rows.size() / steps);
    List<E> batch = new ArrayList<>(to - from);
    for (int i = from; i < to; i++) {
      batch.add(rows.get(current.order()[i]));
    }
    return batch;
  }

  private Plan plan(int epoch, int steps, LaneSettings settings) {
    Plan current = plan;
    if (current == null
        || current.epoch() != epoch
        || current.steps() != steps
        || !current.settings().equals(settings)) {
      int[] runOfStep =
          new CounterRandom(settings.seed(), "order of runs").permutation(steps, epoch);
      current = new Plan(epoch, steps, settings, order(epoch, settings), runOfStep);
      plan = current;
    }
    return current;
  }

  private int[] order(int epoch, LaneSettings settings) {
    CounterRandom random = new CounterRandom(settings.seed(), "order of rows");
    double[] keys = new double[rows.size()];
    for (int i = 0; i < keys.length; i++) {
      double u = random.uniform(epoch, StableHash.of(rows.get(i).id()));
      keys[i] =
          settings.order() == LaneSettings.Order.SHUFFLED
              ? u
              : rows.get(i).length() * (1 + LENGTH_BLUR * (u - 0.5));
    }
    return IntStream.range(0, keys.length)
        .boxed()
        .sorted(Comparator.<Integer>comparingDouble(i -> keys[i]).thenComparingInt(i -> i))
        .mapToInt(Integer::intValue)
        .toArray();
  }
}
