package io.github.sparkrlhf.training;

import java.io.Serializable;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;

/** Adds up what the lanes of a task contribute, lane after lane. */
final class LaneSums<E extends Example> {
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
  private final GradientTree<float[]> gradients;
  private final GradientTree<double[]> sums;
  private final ArrayList<String> notFinite = new ArrayList<>();
  private Volume volume = Volume.NONE;
  private float[] scratch;

  /** Sums before the first lane. */
  LaneSums(Objective<E> objective, int firstLane) {
    this.objective = objective;
    this.gradients = GradientTree.ofFloats(firstLane);
    this.sums = GradientTree.ofDoubles(firstLane);
  }

  /** An array for a gradient, its elements anything. */
  float[] newGradient() {
    return orNew(gradients.takeSpare());
  }

  /**
   * The sum over some micro-batches, one after the other.
   *
   * @param gradient overwritten with the sum of their gradients; null to compute none
   * @return the sums of the objective; null without any micro-batch
   */
  double[] compute(float[] weights, List<List<E>> batches, float[] gradient) {
    double[] total = null;
    for (List<E> batch : batches) {
      volume = volume.plus(Volume.of(batch));
      if (total == null) {
        total = computeOne(weights, batch, gradient);
      } else if (gradient == null) {
        total = sum(total, computeOne(weights, batch, null));
      } else {
        scratch = orNew(scratch);
        total = sum(total, computeOne(weights, batch, scratch));
        add(gradient, scratch);
      }
    }
    return total;
  }

  private double[] computeOne(float[] weights, List<E> batch, float[] gradient) {
    double[] ofBatch = objective.compute(weights, batch, gradient);
    if (!Double.isFinite(ofBatch[Objective.LOSS]) || (gradient != null && !isFinite(gradient))) {
      batch.forEach(row -> notFinite.add(row.id()));
    }
    return ofBatch;
  }

  /** Whether all losses and gradients so far are finite. */
  boolean isFinite() {
    return notFinite.isEmpty();
  }

  /**
   * Ends a lane.
   *
   * @param gradient what it contributes, not its caller's any more; null for nothing
   * @param ofLane sums of the objective, likewise
   */
  void push(float[] gradient, double[] ofLane) {
    gradients.push(gradient);
    sums.push(ofLane);
  }

  /** What the task returns. */
  Iterator<Partial> result(Exchange exchange) {
    GradientTree.Subtree<float[]> sum = gradients.result();
    Exchange.Parcel parcel = exchange.pack(sum.firstLane(), sum.sum());
    return List.of(new Partial(sum.withSum(parcel), sums.result(), volume, notFinite)).iterator();
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
  static double[] sum(double[] total, double[] values) {
    if (total == null) {
      return values;
    }
    for (int i = 0; i < total.length; i++) {
      total[i] += values[i];
    }
    return total;
  }
}
