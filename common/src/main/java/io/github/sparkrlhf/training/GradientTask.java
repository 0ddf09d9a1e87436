package io.github.sparkrlhf.training;

import java.io.Serializable;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;

/** Computes the micro-batches of a task's lanes and sums them. */
final class GradientTask<E extends Example>
    implements TrainingEngine.LaneTask<E, GradientTask.Partial> {
  private static final long serialVersionUID = 1L;

  /** What one task returns: the sum of its subtree of lanes. */
  record Partial(
      GradientTree.Subtree<Exchange.Parcel> gradient,
      GradientTree.Subtree<double[]> sums,
      Volume volume,
      ArrayList<String> notFinite)
      implements Serializable {}

  /** What a task that works on one lane returns for this gradient. */
  static Serializable resultLike(float[] gradient) {
    return new Partial(
        new GradientTree.Subtree<>(0, 1, new Exchange.Parcel(0, new FloatArray(gradient))),
        new GradientTree.Subtree<>(0, 1, new double[Objective.COUNT + 1]),
        Volume.NONE,
        new ArrayList<>());
  }

  private final Objective<E> objective;
  private final int epoch;
  private final int step;
  private final int steps;
  private final LaneSettings plan;

  /** A task for one step, or for all steps without gradients if {@code step} is negative. */
  GradientTask(Objective<E> objective, int epoch, int step, int stepsPerEpoch, LaneSettings plan) {
    this.objective = objective;
    this.epoch = epoch;
    this.step = step;
    this.steps = stepsPerEpoch;
    this.plan = plan;
  }

  @Override
  public Iterator<Partial> run(Exchange exchange, Iterator<Lane<E>> lanes) {
    float[] weights = exchange.weights();
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
          gradient = orNew(gradients.takeSpare());
          laneSums = compute(weights, batch, gradient, notFinite);
        } else {
          scratch = orNew(scratch);
          laneSums = sum(laneSums, compute(weights, batch, scratch, notFinite));
          add(gradient, scratch);
        }
      }
      gradients.push(gradient);
      sums.push(laneSums);
    }
    GradientTree.Subtree<float[]> sum = gradients.result();
    Exchange.Parcel parcel = exchange.pack(sum.firstLane(), sum.sum());
    return List.of(new Partial(sum.withSum(parcel), sums.result(), volume, notFinite)).iterator();
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

  private float[] orNew(float[] spare) {
    return spare == null ? new float[objective.parameterCount()] : spare;
  }

  /** Four sums at a time: one alone waits for each addition to end. */
  private static boolean isFinite(float[] values) {
    float a = 0;
    float b = 0;
    float c = 0;
    float d = 0;
    int i = 0;
    for (; i + 3 < values.length; i += 4) {
      a += 0 * values[i];
      b += 0 * values[i + 1];
      c += 0 * values[i + 2];
      d += 0 * values[i + 3];
    }
    for (; i < values.length; i++) {
      a += 0 * values[i];
    }
    return a + b + c + d == 0;
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
