package io.github.sparkrlhf.lm;

import java.util.Arrays;

/**
 * M + s·L·R for a matrix M {@code [rows, columns]}, L {@code [rows, rank]} and R {@code [rank,
 * columns]}, and the gradients of L and R. Plain loops in a fixed order, along rows, in float32:
 * the same bits on every machine.
 */
final class LowRank {
  private static final int SUMS = 8;

  private LowRank() {}

  /** Adds s·L·R to the matrix that begins at {@code offset}. */
  static void addProduct(
      float[] left, float[] right, int rank, float scale, float[] matrix, int offset) {
    int rows = left.length / rank;
    int columns = right.length / rank;
    float[] row = new float[columns];
    for (int i = 0; i < rows; i++) {
      Arrays.fill(row, 0f);
      for (int k = 0; k < rank; k++) {
        addScaled(left[i * rank + k], right, k * columns, row, 0, columns);
      }
      addScaled(scale, row, 0, matrix, offset + i * columns, columns);
    }
  }

  /**
   * The gradient of L, s·G·Rᵀ.
   *
   * @param gradient holds G, the gradient of M, from {@code offset} on
   * @return {@code [rows, rank]}
   */
  static float[] leftGradient(
      float[] gradient, int offset, int rows, float[] right, int rank, float scale) {
    int columns = right.length / rank;
    float[] result = new float[rows * rank];
    for (int i = 0; i < rows; i++) {
      for (int k = 0; k < rank; k++) {
        result[i * rank + k] =
            scale * dot(gradient, offset + i * columns, right, k * columns, columns);
      }
    }
    return result;
  }

  /**
   * The gradient of R, s·Lᵀ·G.
   *
   * @param gradient holds G, the gradient of M, from {@code offset} on
   * @return {@code [rank, columns]}
   */
  static float[] rightGradient(
      float[] gradient, int offset, int columns, float[] left, int rank, float scale) {
    int rows = left.length / rank;
    float[] result = new float[rank * columns];
    for (int i = 0; i < rows; i++) {
      for (int k = 0; k < rank; k++) {
        addScaled(
            scale * left[i * rank + k],
            gradient,
            offset + i * columns,
            result,
            k * columns,
            columns);
      }
    }
    return result;
  }

  /**
   * The transpose of a matrix.
   *
   * @param rows of the matrix that begins at {@code offset}
   */
  static float[] transposed(float[] values, int offset, int rows, int columns) {
    float[] result = new float[rows * columns];
    for (int i = 0; i < rows; i++) {
      for (int j = 0; j < columns; j++) {
        result[j * rows + i] = values[offset + i * columns + j];
      }
    }
    return result;
  }

  private static void addScaled(
      float factor, float[] from, int fromOffset, float[] to, int toOffset, int count) {
    for (int j = 0; j < count; j++) {
      to[toOffset + j] += factor * from[fromOffset + j];
    }
  }

  /** Eight sums side by side: one would wait for each addition before it begins the next. */
  private static float dot(float[] a, int aOffset, float[] b, int bOffset, int count) {
    float s0 = 0;
    float s1 = 0;
    float s2 = 0;
    float s3 = 0;
    float s4 = 0;
    float s5 = 0;
    float s6 = 0;
    float s7 = 0;
    int j = 0;
    for (; j + SUMS <= count; j += SUMS) {
      int x = aOffset + j;
      int y = bOffset + j;
      s0 += a[x] * b[y];
      s1 += a[x + 1] * b[y + 1];
      s2 += a[x + 2] * b[y + 2];
      s3 += a[x + 3] * b[y + 3];
      s4 += a[x + 4] * b[y + 4];
      s5 += a[x + 5] * b[y + 5];
      s6 += a[x + 6] * b[y + 6];
      s7 += a[x + 7] * b[y + 7];
    }
    for (; j < count; j++) {
      s0 += a[aOffset + j] * b[bOffset + j];
    }
    return ((s0 + s1) + (s2 + s3)) + ((s4 + s5) + (s6 + s7));
  }
}
