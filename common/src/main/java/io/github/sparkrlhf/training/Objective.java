package io.github.sparkrlhf.training;

import java.io.Serializable;
import java.util.List;

/**
 * What a round computes: a loss that is a sum over the tokens, rows or pairs of a minibatch,
 * divided by their count over all lanes. A pure function of weights and rows.
 *
 * @param <E> the rows
 */
public interface Objective<E extends Example> extends Serializable {
  /** Index of the loss sum among the sums. */
  int LOSS = 0;

  /** Index of the count that the loss and its gradient are divided by. */
  int COUNT = 1;

  /** How many numbers the flat weights have. */
  int parameterCount();

  /**
   * Computes one micro-batch.
   *
   * @param weights all weights, flat; read only
   * @param rows not empty
   * @param gradient receives the gradient of the loss <em>sum</em>, every element of it; of any
   *     content on entry; null if only the sums are wanted
   * @return the sums, {@link #LOSS} and {@link #COUNT} first
   */
  double[] compute(float[] weights, List<E> rows, float[] gradient);
}
