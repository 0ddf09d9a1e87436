package io.github.sparkrlhf.training;

import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;

/** Computes the micro-batches of a task's lanes and sums them. */
final class GradientTask<E extends Example>
    implements TrainingEngine.LaneTask<E, LaneSums.Partial> {
  private static final long serialVersionUID = 1L;

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
  public Iterator<LaneSums.Partial> run(Exchange exchange, Iterator<Lane<E>> lanes) {
    LaneSums<E> all = null;
    while (lanes.hasNext()) {
      Lane<E> lane = lanes.next();
      if (all == null) {
        all = new LaneSums<>(objective, lane.number());
      }
      List<List<E>> batches = microBatches(lane);
      float[] gradient = step < 0 || batches.isEmpty() ? null : all.newGradient();
      double[] sums = all.compute(exchange.weights(), batches, gradient);
      all.push(gradient, sums);
    }
    return all.result(exchange);
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
}
