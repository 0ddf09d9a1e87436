package io.github.sparkrlhf.training;

import java.util.List;

/**
 * An objective over all weights as one over adapters: the same loss, and by the chain rule the
 * exact gradient. The gradient of all weights is computed on the way and stays on the executor.
 *
 * @param <E> the rows
 */
final class LoraObjective<E extends Example> implements Objective<E> {
  private static final long serialVersionUID = 1L;

  private final Objective<E> inner;
  private final LoraView view;

  LoraObjective(Objective<E> inner, LoraView view) {
    this.inner = inner;
    this.view = view;
  }

  @Override
  public int parameterCount() {
    return view.trainedSize();
  }

  @Override
  public double[] compute(float[] trained, List<E> rows, float[] gradient) {
    float[] weightGradient = gradient == null ? null : new float[inner.parameterCount()];
    double[] sums = inner.compute(view.all(trained), rows, weightGradient);
    if (gradient != null) {
      view.pullBack(trained, weightGradient, gradient);
    }
    return sums;
  }
}
