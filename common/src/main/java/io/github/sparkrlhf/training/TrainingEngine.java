package io.github.sparkrlhf.training;

import io.github.sparkrlhf.spark.JobDescriptions;
import io.github.sparkrlhf.spark.JobFailure;
import io.github.sparkrlhf.spark.StableHash;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.Iterator;
import java.util.List;
import java.util.TreeMap;
import java.util.function.BiFunction;
import org.apache.spark.Partitioner;
import org.apache.spark.api.java.JavaPairRDD;
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
  private boolean withinOneJvm;

  /**
   * What a round returns.
   *
   * @param gradient of the mean loss, flat
   * @param sums over all lanes, as the objective defines them
   * @param volume of the minibatch
   */
  public record Round(float[] gradient, double[] sums, Volume volume) {}

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
    this(context, dealtByHash(examples, settings.lanes()), settings, objective, parallelism);
  }

  /**
   * Deals rows that the driver holds, in equal numbers, in the order of their hashes.
   *
   * @param examples the training set
   * @throws JobFailure if there is no row, or an id occurs twice
   */
  public TrainingEngine(
      JavaSparkContext context, List<E> examples, LaneSettings settings, Objective<E> objective) {
    this(
        context,
        dealtEvenly(context, examples, settings.lanes()),
        settings,
        objective,
        context.defaultParallelism());
  }

  private TrainingEngine(
      JavaSparkContext context,
      JavaPairRDD<Integer, E> dealt,
      LaneSettings settings,
      Objective<E> objective,
      int parallelism) {
    this(
        context,
        lanes(dealt, settings.lanes(), partitions(settings.lanes(), parallelism)),
        settings,
        objective,
        "deal rows into " + settings.lanes() + " lanes");
  }

  /** An engine over lanes, which are computed and kept here. */
  private TrainingEngine(
      JavaSparkContext context,
      JavaRDD<Lane<E>> lanes,
      LaneSettings settings,
      Objective<E> objective,
      String description) {
    this.context = context;
    this.settings = settings;
    this.objective = objective;
    this.withinOneJvm = Exchange.isWithinOneJvm(context);
    this.lanes = lanes.persist(StorageLevel.MEMORY_AND_DISK());
    this.rows =
        JobDescriptions.described(
            context.sc(),
            description,
            () -> lanes.map(Lane::size).fold(0, Integer::sum).longValue());
    if (rows == 0) {
      throw JobFailure.dataQuality("Cannot train: there are no rows");
    }
    this.stepsPerEpoch = settings.stepsPerEpoch(rows);
  }

  private static <E extends Example> JavaRDD<Lane<E>> lanes(
      JavaPairRDD<Integer, E> dealt, int lanes, int partitions) {
    int lanesPerPartition = lanes / partitions;
    return dealt
        .partitionBy(new LaneRangePartitioner(partitions, lanesPerPartition))
        .mapPartitionsWithIndex(
            (partition, pairs) -> lanes(partition * lanesPerPartition, lanesPerPartition, pairs),
            true);
  }

  private static <E extends Example> JavaPairRDD<Integer, E> dealtByHash(
      JavaRDD<E> examples, int lanes) {
    return examples.mapToPair(row -> new Tuple2<>(StableHash.lane(row.id(), lanes), row));
  }

  private static <E extends Example> JavaPairRDD<Integer, E> dealtEvenly(
      JavaSparkContext context, List<E> examples, int lanes) {
    List<E> sorted = new ArrayList<>(examples);
    sorted.sort(
        Comparator.<E>comparingLong(row -> StableHash.of(row.id())).thenComparing(Example::id));
    List<Tuple2<Integer, E>> dealt = new ArrayList<>(sorted.size());
    for (int i = 0; i < sorted.size(); i++) {
      dealt.add(new Tuple2<>(i % lanes, sorted.get(i)));
    }
    return context.parallelizePairs(dealt, context.defaultParallelism());
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

  /** Sends arrays through Spark as on a cluster, also in local mode. */
  void exchangeThroughSpark() {
    withinOneJvm = false;
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
    return mean(
        weights,
        step,
        description,
        new GradientTask<>(objective, epoch, step, stepsPerEpoch, settings));
  }

  /**
   * One round in which each lane takes some steps alone: the mean way that lanes have gone, from
   * where they ended to where they began, weighted by what the objective counts.
   *
   * @param weights flat; not kept
   * @param firstStep of the steps, all within one epoch
   * @throws JobFailure if a loss or a gradient is NaN or infinite; names the rows
   */
  Round localRound(
      float[] weights, int epoch, int firstStep, LocalStepsTask.Plan plan, String description) {
    return mean(
        weights,
        firstStep,
        description,
        new LocalStepsTask<>(objective, epoch, firstStep, stepsPerEpoch, settings, plan));
  }

  private Round mean(
      float[] weights, int step, String description, LaneTask<E, LaneSums.Partial> task) {
    Round sum = onLanes(weights, description, task, this::finish);
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
    return onLanes(
            weights,
            description,
            new GradientTask<>(objective, 0, -1, stepsPerEpoch, settings),
            this::finish)
        .sums();
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
        (exchange, laneIterator) -> {
          List<R> results = new ArrayList<>();
          while (laneIterator.hasNext()) {
            results.addAll(
                results(laneIterator.next(), epoch, steps, plan, exchange.weights(), function));
          }
          return results.iterator();
        },
        (exchange, results) -> results);
  }

  /**
   * An engine over what a function makes of the rows, on the executors that hold them; takes the
   * place of this one, which is closed. The function sees the micro-batches that the first epoch
   * will train on.
   *
   * @param weights that the function gets; the caller keeps them as long as the engine is in use,
   *     because rows that are lost with an executor are made again
   * @param function gives rows of the same ids and lengths
   */
  public TrainingEngine<E> prepared(
      Broadcast<FloatArray> weights, String description, RowFunction<E, E> function) {
    int steps = stepsPerEpoch;
    LaneSettings plan = settings;
    JavaRDD<Lane<E>> made =
        lanes.map(
            lane ->
                new Lane<>(
                    lane.number(),
                    results(lane, 0, steps, plan, weights.value().values(), function)));
    try (this) {
      return new TrainingEngine<>(context, made, settings, objective, description);
    }
  }

  private static <E extends Example, R extends Serializable> List<R> results(
      Lane<E> lane,
      int epoch,
      int steps,
      LaneSettings plan,
      float[] weights,
      RowFunction<E, R> function) {
    List<R> results = new ArrayList<>();
    for (int step = 0; step < steps; step++) {
      for (List<E> batch : lane.microBatches(epoch, step, steps, plan)) {
        results.addAll(function.apply(weights, batch));
      }
    }
    return results;
  }

  /** Work on the lanes of a task. */
  interface LaneTask<E extends Example, R> extends Serializable {
    Iterator<R> run(Exchange exchange, Iterator<Lane<E>> lanes);
  }

  /** Runs a task over all lanes; what it returns is unpacked before the round's exchange ends. */
  private <R, T> T onLanes(
      float[] weights,
      String description,
      LaneTask<E, R> task,
      BiFunction<Exchange, List<R>, T> unpack) {
    // A copy: tasks may still hold the array when the optimiser steps the caller's in place.
    try (Exchange exchange = Exchange.open(context, withinOneJvm, weights.clone())) {
      FlatMapFunction<Iterator<Lane<E>>, R> function =
          laneIterator -> task.run(exchange, laneIterator);
      List<R> results =
          JobDescriptions.described(
              context.sc(), description, () -> lanes.mapPartitions(function).collect());
      return unpack.apply(exchange, results);
    }
  }

  private Round finish(Exchange exchange, List<LaneSums.Partial> partials) {
    List<String> notFinite = new ArrayList<>();
    List<GradientTree.Subtree<float[]>> gradients = new ArrayList<>();
    List<GradientTree.Subtree<double[]>> sums = new ArrayList<>();
    Volume volume = Volume.NONE;
    for (LaneSums.Partial partial : partials) {
      notFinite.addAll(partial.notFinite());
      gradients.add(partial.gradient().withSum(exchange.unpack(partial.gradient().sum())));
      sums.add(partial.sums());
      volume = volume.plus(partial.volume());
    }
    if (!notFinite.isEmpty()) {
      throw JobFailure.notFinite(
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
