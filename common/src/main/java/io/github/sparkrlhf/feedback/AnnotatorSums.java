package io.github.sparkrlhf.feedback;

import java.io.Serializable;
import java.util.Arrays;

/**
 * Integer sums by annotator, for the annotators of some blocks of votes only. Adding is exact: in
 * whatever order blocks are added, the result has the same bits.
 *
 * @param annotators the indices of the annotators, ascending; a primitive array to stay small
 * @param width how many sums each annotator has
 * @param sums {@code [annotators, width]}
 * @param totals sums that belong to no annotator
 */
record AnnotatorSums(int[] annotators, int width, long[] sums, long[] totals)
    implements Serializable {

  /** The sums of both, over the union of the annotators. */
  AnnotatorSums plus(AnnotatorSums other) {
    int[] union = union(annotators, other.annotators);
    long[] sum = new long[union.length * width];
    addTo(sum, union);
    other.addTo(sum, union);
    long[] total = totals.clone();
    for (int i = 0; i < total.length; i++) {
      total[i] += other.totals[i];
    }
    return new AnnotatorSums(union, width, sum, total);
  }

  /**
   * The sums of all annotators, zero for those without any.
   *
   * @param size the number of annotators
   * @return {@code [size, width]}
   */
  long[] dense(int size) {
    long[] all = new long[size * width];
    for (int i = 0; i < annotators.length; i++) {
      System.arraycopy(sums, i * width, all, annotators[i] * width, width);
    }
    return all;
  }

  private void addTo(long[] sum, int[] union) {
    int at = 0;
    for (int i = 0; i < annotators.length; i++) {
      while (union[at] != annotators[i]) {
        at++;
      }
      for (int k = 0; k < width; k++) {
        sum[at * width + k] += sums[i * width + k];
      }
    }
  }

  private static int[] union(int[] left, int[] right) {
    int[] union = new int[left.length + right.length];
    int size = 0;
    int i = 0;
    int j = 0;
    while (i < left.length || j < right.length) {
      boolean fromLeft = j == right.length || (i < left.length && left[i] <= right[j]);
      int next = fromLeft ? left[i++] : right[j++];
      if (size == 0 || union[size - 1] != next) {
        union[size++] = next;
      }
    }
    return Arrays.copyOf(union, size);
  }
}
