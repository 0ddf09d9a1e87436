package io.github.sparkrlhf.training;

import io.github.sparkrlhf.spark.JobDescriptions;
import io.github.sparkrlhf.spark.JobFailure;
import io.github.sparkrlhf.spark.StableHash;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Iterator;
import java.util.List;
import java.util.TreeMap;
import org.apache.spark.Partitioner;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.api.java.function.FlatMapFunction;
import org.apache.spark.broadcast.Broadcast;
import org.apache.spark.storage.StorageLevel;
import scala.Tuple2;

/**
 * Rounds of data-parallel training. The rows are dealt by hash of their id into lanes; in a round
 * the driver broadcasts weights, every lane contributes one micro-batch, and gradients are summed
 * along a fixed binary tree over lane numbers. The result does not depend on the number of
 * executors, on partitioning, or on retries.
 *
 * @param <E> the rows
 */
public final class TrainingEngine<E extends Example> implements AutoCloseable {
  private final JavaSparkContext context;
  private final LaneSettings settings;
  private final Objective<E> objective;
  private final JavaRDD<Lane<E>> lanes;
  private final long rows;
  private final int stepsPerEpoch;

  /**
   * What a round returns.
   *
   * @param gradient of the mean loss, flat
   * @param sums over all lanes, as the objective defines them
   * @param volume of the minibatch
   */
  public record Round(float[] gradient, double[] sums, Volume volume) {
    /** The mean loss. */
    public double loss() {
      return sums[Objective.LOSS] / sums[Objective.COUNT];
    }
  }

  /**
   * Work on one planned micro-batch that gives one result per row.
   *
   * @param <E> the rows
   * @param <R> the results
   */
  public interface RowFunction<E extends Example, R extends Serializable> extends Serializable {
    /** The results in the order of the rows. */
    List<R> apply(float[] weights, List<E> rows);
  }

  /** What one task returns: the sum of its subtree of lanes. */
  private record Partial(
      GradientTree.Subtree<FloatArray> gradient,
      GradientTree.Subtree<double[]> sums,
      Volume volume,
      ArrayList<String> notFinite)
      implements Serializable {}

  /** What a task that works on one lane returns for this gradient. */
  static Serializable resultLike(float[] gradient) {
    return new Partial(
        new GradientTree.Subtree<>(0, 1, new FloatArray(gradient)),
        new GradientTree.Subtree<>(0, 1, new double[Objective.COUNT + 1]),
        Volume.NONE,
        new ArrayList<>());
  }

  /**
   * Deals the rows into lanes and keeps them on the executors.
   *
   * @param examples the training set; recomputed when an executor is lost, so it must be
   *     deterministic
   * @throws JobFailure if there is no row, or an id occurs twice
   */
  public TrainingEngine(
      JavaSparkContext context,
      JavaRDD<E> examples,
      LaneSettings settings,
      Objective<E> objective) {
    this(context, examples, settings, objective, context.defaultParallelism());
  }

  /** An engine for a cluster that runs so many tasks at the same time. */
  TrainingEngine(
      JavaSparkContext context,
      JavaRDD<E> examples,
      LaneSettings settings,
      Objective<E> objective,
      int parallelism) {
    this.context = context;
    this.settings = settings;
    this.objective = objective;
    int laneCount = settings.lanes();
    int partitions = partitions(laneCount, parallelism);
    int lanesPerPartition = laneCount / partitions;
    this.lanes =
        examples
            .mapToPair(row -> new Tuple2<>(StableHash.lane(row.id(), laneCount), row))
            .partitionBy(new LaneRangePartitioner(partitions, lanesPerPartition))
            .<Lane<E>>mapPartitionsWithIndex(
                (partition, pairs) ->
                    lanes(partition * lanesPerPartition, lanesPerPartition, pairs),
                true)
            .persist(StorageLevel.MEMORY_AND_DISK());
    this.rows =
        JobDescriptions.described(
            context.sc(),
            "deal rows into " + laneCount + " lanes",
            () -> lanes.map(Lane::size).fold(0, Integer::sum).longValue());
    if (rows == 0) {
      throw JobFailure.dataQuality("Cannot train: there are no rows");
    }
    this.stepsPerEpoch = settings.stepsPerEpoch(rows);
  }

  /** The largest power of two that is neither above the lanes nor above the parallelism. */
  static int partitions(int lanes, int parallelism) {
    return Math.min(lanes, Integer.highestOneBit(Math.max(1, parallelism)));
  }

  private static <E extends Example> Iterator<Lane<E>> lanes(
      int first, int count, Iterator<Tuple2<Integer, E>> pairs) {
    TreeMap<Integer, List<E>> byLane = new TreeMap<>();
    for (int lane = first; lane < first + count; lane++) {
      byLane.put(lane, new ArrayList<>());
    }
    pairs.forEachRemaining(pair -> byLane.get(pair._1()).add(pair._2()));
    List<Lane<E>> lanes = new ArrayList<>();
    byLane.forEach((number, rows) -> lanes.add(new Lane<>(number, rows)));
    return lanes.iterator();
  }

  /** How many rows the training set has. */
  public long rows() {
    return rows;
  }

  /** Steps that go through all rows once. */
  public int stepsPerEpoch() {
    return stepsPerEpoch;
  }

  /**
   * One round: the mean gradient and the sums of one minibatch.
   *
   * @param weights flat; not kept
   * @param step in {@code [0, stepsPerEpoch)}
   * @throws JobFailure if a loss or a gradient is NaN or infinite; names the rows
   */
  public Round round(float[] weights, int epoch, int step, String description) {
    List<Partial> partials =
        onLanes(weights, description, new GradientTask<>(objective, epoch, step, this));
    Round sum = finish(partials);
    if (sum.gradient() == null) {
      throw JobFailure.failure("Cannot train: step " + step + " has no rows");
    }
    float scale = (float) (1 / sum.sums()[Objective.COUNT]);
    for (int i = 0; i < sum.gradient().length; i++) {
      sum.gradient()[i] *= scale;
    }
    return sum;
  }

  /** The sums of the objective over all rows, without gradients. */
  public double[] evaluate(float[] weights, String description) {
    return finish(onLanes(weights, description, new GradientTask<>(objective, 0, -1, this))).sums();
  }

  /**
   * Runs a forward pass over the micro-batches that an epoch will train on, cut the same way, so
   * that outputs have the bits that the first step of that epoch sees.
   *
   * @return one result per row, in no particular order
   */
  public <R extends Serializable> List<R> map(
      float[] weights, int epoch, String description, RowFunction<E, R> function) {
    int steps = stepsPerEpoch;
    LaneSettings plan = settings;
    return onLanes(
        weights,
        description,
        (broadcast, laneIterator) -> {
          List<R> results = new ArrayList<>();
          while (laneIterator.hasNext()) {
            Lane<E> lane = laneIterator.next();
            for (int step = 0; step < steps; step++) {
              for (List<E> batch : lane.microBatches(epoch, step, steps, plan)) {
                results.addAll(function.apply(broadcast, batch));
              }
            }
          }
          return results.iterator();
        });
  }

  private interface LaneTask<E extends Example, R> extends Serializable {
    Iterator<R> run(float[] weights, Iterator<Lane<E>> lanes);
  }

  private <R> List<R> onLanes(float[] weights, String description, LaneTask<E, R> task) {
    // A copy: tasks may still hold the array when the optimiser steps the caller's in place.
    Broadcast<FloatArray> broadcast = context.broadcast(new FloatArray(weights.clone()));
    try {
      FlatMapFunction<Iterator<Lane<E>>, R> function =
          laneIterator -> task.run(broadcast.value().values(), laneIterator);
      return JobDescriptions.described(
          context.sc(), description, () -> lanes.mapPartitions(function).collect());
    } finally {
      broadcast.destroy();
    }
  }

  private Round finish(List<Partial> partials) {
    List<String> notFinite = new ArrayList<>();
    List<GradientTree.Subtree<float[]>> gradients = new ArrayList<>();
    List<GradientTree.Subtree<double[]>> sums = new ArrayList<>();
    Volume volume = Volume.NONE;
    for (Partial partial : partials) {
      notFinite.addAll(partial.notFinite());
      FloatArray gradient = partial.gradient().sum();
      gradients.add(partial.gradient().withSum(gradient == null ? null : gradient.values()));
      sums.add(partial.sums());
      volume = volume.plus(partial.volume());
    }
    if (!notFinite.isEmpty()) {
      throw JobFailure.failure(
          "Cannot train: loss or gradient is not a finite number for a micro-batch with the rows "
              + notFinite);
    }
    return new Round(
        GradientTree.sumOfFloats(settings.lanes(), gradients),
        GradientTree.sumOfDoubles(settings.lanes(), sums),
        volume);
  }

  @Override
  public void close() {
    lanes.unpersist(false);
  }

  /** Computes the micro-batches of a task's lanes and sums them. */
  private static final class GradientTask<E extends Example> implements LaneTask<E, Partial> {
    private static final long serialVersionUID = 1L;

    private final Objective<E> objective;
    private final int epoch;
    private final int step;
    private final int steps;
    private final LaneSettings plan;

    /** A task for one step, or for all steps without gradients if {@code step} is negative. */
    GradientTask(Objective<E> objective, int epoch, int step, TrainingEngine<E> engine) {
      this.objective = objective;
      this.epoch = epoch;
      this.step = step;
      this.steps = engine.stepsPerEpoch;
      this.plan = engine.settings;
    }

    @Override
    public Iterator<Partial> run(float[] weights, Iterator<Lane<E>> lanes) {
      GradientTree<float[]> gradients = null;
      GradientTree<double[]> sums = null;
      Volume volume = Volume.NONE;
      ArrayList<String> notFinite = new ArrayList<>();
      float[] scratch = null;
      while (lanes.hasNext()) {
        Lane<E> lane = lanes.next();
        if (gradients == null) {
          gradients = GradientTree.ofFloats(lane.number());
          sums = GradientTree.ofDoubles(lane.number());
        }
        float[] gradient = null;
        double[] laneSums = null;
        for (List<E> batch : microBatches(lane)) {
          volume = volume.plus(Volume.of(batch));
          if (step < 0) {
            laneSums = sum(laneSums, compute(weights, batch, null, notFinite));
          } else if (gradient == null) {
            gradient = zeros(gradients.takeSpare());
            laneSums = compute(weights, batch, gradient, notFinite);
          } else {
            scratch = zeros(scratch);
            laneSums = sum(laneSums, compute(weights, batch, scratch, notFinite));
            add(gradient, scratch);
          }
        }
        gradients.push(gradient);
        sums.push(laneSums);
      }
      GradientTree.Subtree<float[]> sum = gradients.result();
      FloatArray gradient = sum.sum() == null ? null : new FloatArray(sum.sum());
      return List.of(new Partial(sum.withSum(gradient), sums.result(), volume, notFinite))
          .iterator();
    }

    private List<List<E>> microBatches(Lane<E> lane) {
      if (step >= 0) {
        return lane.microBatches(epoch, step, steps, plan);
      }
      List<List<E>> all = new ArrayList<>();
      for (int each = 0; each < steps; each++) {
        all.addAll(lane.microBatches(epoch, each, steps, plan));
      }
      return all;
    }

    private double[] compute(
        float[] weights, List<E> batch, float[] gradient, List<String> notFinite) {
      double[] sums = objective.compute(weights, batch, gradient);
      if (!Double.isFinite(sums[Objective.LOSS]) || (gradient != null && !isFinite(gradient))) {
        batch.forEach(row -> notFinite.add(row.id()));
      }
      return sums;
    }

    private float[] zeros(float[] spare) {
      if (spare == null) {
        return new float[objective.parameterCount()];
      }
      Arrays.fill(spare, 0f);
      return spare;
    }

    private static boolean isFinite(float[] values) {
      float zeroUnlessNot = 0;
      for (float value : values) {
        zeroUnlessNot += 0 * value;
      }
      return zeroUnlessNot == 0;
    }

    private static void add(float[] total, float[] values) {
      for (int i = 0; i < total.length; i++) {
        total[i] += values[i];
      }
    }

    /** The total so far, null before the first, and one more. */
    private static double[] sum(double[] total, double[] values) {
      if (total == null) {
        return values;
      }
      for (int i = 0; i < total.length; i++) {
        total[i] += values[i];
      }
      return total;
    }
  }

  /** Lanes {@code [p·k, (p+1)·k)} go to partition p. */
  private static final class LaneRangePartitioner extends Partitioner {
    private static final long serialVersionUID = 1L;

    private final int partitions;
    private final int lanesPerPartition;

    LaneRangePartitioner(int partitions, int lanesPerPartition) {
      this.partitions = partitions;
      this.lanesPerPartition = lanesPerPartition;
    }

    @Override
    public int numPartitions() {
      return partitions;
    }

    @Override
    public int getPartition(Object lane) {
      return (Integer) lane / lanesPerPartition;
    }
  }
}
