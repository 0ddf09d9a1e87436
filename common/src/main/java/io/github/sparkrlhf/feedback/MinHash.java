package io.github.sparkrlhf.feedback;

import io.github.sparkrlhf.spark.CounterRandom;
import java.util.Arrays;

/**
 * Signatures of texts by minimum hashes (Broder, 1997), cut into bands (Leskovec, Rajaraman and
 * Ullman, Mining of Massive Datasets, 2014, section 3.4).
 *
 * <p>Two texts with Jaccard similarity s have the same minimum under a permutation of all shingles
 * with probability s, hence the same band of r minima with probability s^r, and at least one band
 * of b in common with probability 1 − (1 − s^r)^b. With 16 bands of 4 this is 0.9998 at 0.8, 0.89
 * at 0.6, 0.64 at 0.5, 0.12 at 0.3 and 0.03 at 0.2.
 */
final class MinHash {
  static final int BANDS = 16;
  static final int ROWS = 4;

  private static final int[] MULTIPLIERS = new int[BANDS * ROWS];
  private static final int[] OFFSETS = new int[BANDS * ROWS];

  static {
    CounterRandom random = new CounterRandom(0, "minhash");
    for (int i = 0; i < MULTIPLIERS.length; i++) {
      long bits = random.bits(i);
      // Odd, so that the multiplication permutes the words of 32 bits.
      MULTIPLIERS[i] = (int) bits | 1;
      OFFSETS[i] = (int) (bits >>> 32);
    }
  }

  private MinHash() {}

  /**
   * The bands of a text.
   *
   * @return one hash for each of the {@link #BANDS} bands; those of different bands never meet but
   *     by chance
   */
  static long[] bands(String text) {
    int[] minima = signature(Shingles.hashes(text));
    long[] bands = new long[BANDS];
    for (int band = 0; band < BANDS; band++) {
      long hash = band;
      for (int row = 0; row < ROWS; row++) {
        hash = (hash ^ minima[band * ROWS + row]) * 0x9E3779B97F4A7C15L;
        hash ^= hash >>> 32;
      }
      bands[band] = hash;
    }
    return bands;
  }

  /** The probability that two texts of a Jaccard similarity share a band. */
  static double recall(double similarity) {
    return 1 - Math.pow(1 - Math.pow(similarity, ROWS), BANDS);
  }

  private static int[] signature(long[] shingles) {
    int[] minima = new int[BANDS * ROWS];
    Arrays.fill(minima, Integer.MAX_VALUE);
    for (long shingle : shingles) {
      int word = (int) shingle;
      for (int i = 0; i < minima.length; i++) {
        minima[i] = Math.min(minima[i], MULTIPLIERS[i] * word + OFFSETS[i]);
      }
    }
    return minima;
  }
}
