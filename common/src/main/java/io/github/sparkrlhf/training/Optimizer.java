package io.github.sparkrlhf.training;

import java.util.Map;

/** Steps one flat array of weights; its whole state is vectors as long as the weights. */
public interface Optimizer {
  /**
   * Takes one step, in place.
   *
   * @param weights [size]
   * @param gradient [size], of the loss to be made smaller
   * @param learningRate of this step
   */
  void step(float[] weights, float[] gradient, double learningRate);

  /** The state by name, each [size]; the optimiser's own arrays, not copies. */
  Map<String, float[]> moments();

  /** The number of steps taken. */
  long steps();

  /**
   * Continues where another optimiser of the same kind and size stopped.
   *
   * @param moments as {@link #moments} gave them, copied
   * @param steps the number of steps taken
   * @throws IllegalArgumentException if this is not such a state
   */
  void restore(Map<String, float[]> moments, long steps);

  /** Copies a state into the arrays of an optimiser. */
  static void copy(Map<String, float[]> state, Map<String, float[]> target) {
    if (!state.keySet().equals(target.keySet())) {
      throw new IllegalArgumentException(
          "the state has " + state.keySet() + " instead of " + target.keySet());
    }
    target.forEach(
        (name, values) -> {
          if (state.get(name).length != values.length) {
            throw new IllegalArgumentException(
                "the state is not of an optimiser of size " + values.length);
          }
          System.arraycopy(state.get(name), 0, values, 0, values.length);
        });
  }
}
