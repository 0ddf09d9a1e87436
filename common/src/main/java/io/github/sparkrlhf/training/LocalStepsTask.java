package io.github.sparkrlhf.training;

import java.io.Serializable;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;

/**
 * Each lane of a task takes some steps alone. What a lane returns in the place of a gradient is
 * (weights before − weights after) · n, with n what the objective counts in its rows.
 */
final class LocalStepsTask<E extends Example>
    implements TrainingEngine.LaneTask<E, LaneSums.Partial> {
  private static final long serialVersionUID = 1L;

  /**
   * How a lane steps.
   *
   * @param segments of its AdamW
   * @param settings of its AdamW
   * @param maxGradientNorm norm of a lane's gradient above which it is scaled down
   * @param learningRates of the steps
   */
  record Plan(
      ArrayList<AdamW.Segment> segments,
      AdamW.Settings settings,
      double maxGradientNorm,
      double[] learningRates)
      implements Serializable {}

  private final Objective<E> objective;
  private final int epoch;
  private final int firstStep;
  private final int stepsPerEpoch;
  private final LaneSettings lanes;
  private final Plan plan;

  LocalStepsTask(
      Objective<E> objective,
      int epoch,
      int firstStep,
      int stepsPerEpoch,
      LaneSettings lanes,
      Plan plan) {
    this.objective = objective;
    this.epoch = epoch;
    this.firstStep = firstStep;
    this.stepsPerEpoch = stepsPerEpoch;
    this.lanes = lanes;
    this.plan = plan;
  }

  @Override
  public Iterator<LaneSums.Partial> run(Exchange exchange, Iterator<Lane<E>> ofTask) {
    LaneSums<E> all = null;
    while (ofTask.hasNext()) {
      Lane<E> lane = ofTask.next();
      if (all == null) {
        all = new LaneSums<>(objective, lane.number());
      }
      double[] sums = null;
      float[] weights = exchange.weights();
      AdamW optimizer = new AdamW(weights.length, plan.segments(), plan.settings());
      for (int step = 0; step < plan.learningRates().length && all.isFinite(); step++) {
        List<List<E>> batches = lane.microBatches(epoch, firstStep + step, stepsPerEpoch, lanes);
        if (!batches.isEmpty()) {
          float[] gradient = new float[weights.length];
          double[] ofStep = all.compute(weights, batches, gradient);
          scale(gradient, (float) (1 / ofStep[Objective.COUNT]));
          GradientClipping.globalNorm(gradient, plan.maxGradientNorm());
          // A copy: what computes with weights may know them by their array.
          weights = weights.clone();
          optimizer.step(weights, gradient, plan.learningRates()[step]);
          sums = LaneSums.sum(sums, ofStep);
        }
      }
      all.push(sums == null ? null : way(exchange.weights(), weights, sums), sums);
    }
    return all.result(exchange);
  }

  private static void scale(float[] values, float factor) {
    for (int i = 0; i < values.length; i++) {
      values[i] *= factor;
    }
  }

  private static float[] way(float[] from, float[] to, double[] sums) {
    float count = (float) sums[Objective.COUNT];
    float[] way = new float[from.length];
    for (int i = 0; i < way.length; i++) {
      way[i] = (from[i] - to[i]) * count;
    }
    return way;
  }
}
