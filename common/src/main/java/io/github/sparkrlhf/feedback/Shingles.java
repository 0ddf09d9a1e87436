package io.github.sparkrlhf.feedback;

import io.github.sparkrlhf.spark.StableHash;
import java.util.Arrays;

/**
 * A text as the set of its shingles: all runs of five code points (Broder, 1997). A shorter text is
 * one shingle. Shingles are held as hashes of 64 bits.
 */
final class Shingles {
  /** The code points of a shingle. */
  static final int LENGTH = 5;

  private Shingles() {}

  /**
   * The hashes of the shingles in the order of the text, repeated where the text repeats itself.
   */
  static long[] hashes(String text) {
    int[] points = text.codePoints().toArray();
    if (points.length < LENGTH) {
      return new long[] {StableHash.of(text)};
    }
    long[] hashes = new long[points.length - LENGTH + 1];
    for (int i = 0; i < hashes.length; i++) {
      // Code points have 21 bits: three of them fill a word without loss.
      long first = points[i] | (long) points[i + 1] << 21 | (long) points[i + 2] << 42;
      long last = points[i + 3] | (long) points[i + 4] << 21;
      hashes[i] = mixed(mixed(first) + last);
    }
    return hashes;
  }

  /** The Jaccard similarity of two texts: common shingles over all shingles, in [0, 1]. */
  static double jaccard(String a, String b) {
    long[] left = sortedSet(a);
    long[] right = sortedSet(b);
    int common = 0;
    for (int i = 0, j = 0; i < left.length && j < right.length; ) {
      int order = Long.compare(left[i], right[j]);
      common += order == 0 ? 1 : 0;
      i += order <= 0 ? 1 : 0;
      j += order >= 0 ? 1 : 0;
    }
    return (double) common / (left.length + right.length - common);
  }

  private static long[] sortedSet(String text) {
    long[] hashes = hashes(text);
    Arrays.sort(hashes);
    int size = 0;
    for (int i = 0; i < hashes.length; i++) {
      if (i == 0 || hashes[i] != hashes[i - 1]) {
        hashes[size++] = hashes[i];
      }
    }
    return Arrays.copyOf(hashes, size);
  }

  /** The finaliser of MurmurHash3 (Appleby, 2011). */
  private static long mixed(long word) {
    long z = word + 0x9E3779B97F4A7C15L;
    z = (z ^ (z >>> 33)) * 0xFF51AFD7ED558CCDL;
    z = (z ^ (z >>> 33)) * 0xC4CEB9FE1A85EC53L;
    return z ^ (z >>> 33);
  }
}
