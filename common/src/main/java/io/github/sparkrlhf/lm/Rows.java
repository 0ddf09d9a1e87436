package io.github.sparkrlhf.lm;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.types.SparseFormat;
import ai.djl.nn.core.Embedding;

/** Picks rows of a matrix; differentiable. */
public final class Rows {
  private Rows() {}

  /**
   * The given rows of a matrix.
   *
   * @param matrix {@code [rows, columns]}
   * @param indices int64 of any shape
   * @return {@code [..., columns]}, attached to the manager of {@code indices}
   */
  public static NDArray select(NDArray matrix, NDArray indices) {
    return Embedding.embedding(indices, matrix, SparseFormat.DENSE).singletonOrThrow();
  }
}
