package io.github.sparkrlhf.feedback;

import io.github.sparkrlhf.spark.StableHash;

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
    long[] left = hashes(a);
    long[] right = hashes(b);
    LongSet all = new LongSet(left.length + right.length);
    int distinctLeft = all.addAll(left);
    int onlyRight = all.addAll(right);
    int distinctRight = new LongSet(right.length).addAll(right);
    return (double) (distinctRight - onlyRight) / (distinctLeft + onlyRight);
  }

  /** Hashes in a table with open addressing: they are random already. */
  private static final class LongSet {
    private final long[] table;
    private boolean hasZero;

    LongSet(int capacity) {
      this.table = new long[Integer.highestOneBit(Math.max(1, capacity)) * 4];
    }

    /** Adds numbers and returns how many are new. */
    int addAll(long[] numbers) {
      int added = 0;
      for (long number : numbers) {
        added += add(number) ? 1 : 0;
      }
      return added;
    }

    private boolean add(long number) {
      if (number == 0) {
        boolean added = !hasZero;
        hasZero = true;
        return added;
      }
      int slot = (int) number & (table.length - 1);
      while (table[slot] != 0) {
        if (table[slot] == number) {
          return false;
        }
        slot = (slot + 1) & (table.length - 1);
      }
      table[slot] = number;
      return true;
    }
  }

  /** The finaliser of MurmurHash3 (Appleby, 2011). */
  private static long mixed(long word) {
    long z = word + 0x9E3779B97F4A7C15L;
    z = (z ^ (z >>> 33)) * 0xFF51AFD7ED558CCDL;
    z = (z ^ (z >>> 33)) * 0xC4CEB9FE1A85EC53L;
    return z ^ (z >>> 33);
  }
}
