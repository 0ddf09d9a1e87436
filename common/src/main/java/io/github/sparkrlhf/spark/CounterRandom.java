package io.github.sparkrlhf.spark;

import java.io.Serializable;

/**
 * Random numbers that are a pure function of their key, never drawn from a stream: the same (seed,
 * purpose, counters) gives the same number on any executor, in any order, after any retry.
 *
 * <p>The generator is the finaliser of SplitMix64 (Steele, Lea and Flood, 2014) applied to a chain
 * of the key's words, as counter-based generators do (Salmon et al., 2011).
 */
public final class CounterRandom implements Serializable {
  private static final long serialVersionUID = 1L;
  private static final long GOLDEN_GAMMA = 0x9E3779B97F4A7C15L;

  private final long key;

  /**
   * @param seed the seed of the run
   * @param purpose what the numbers are for; two purposes never share numbers
   */
  public CounterRandom(long seed, String purpose) {
    this.key = mix(mix(seed + GOLDEN_GAMMA) ^ StableHash.of(purpose));
  }

  /** 64 random bits for the counters. */
  public long bits(long... counters) {
    long state = key;
    for (long counter : counters) {
      state = mix(state + GOLDEN_GAMMA + mix(counter + GOLDEN_GAMMA));
    }
    return mix(state + GOLDEN_GAMMA);
  }

  /** A number in the open interval (0, 1), a multiple of 2^-54 plus 2^-54. */
  public double uniform(long... counters) {
    return ((bits(counters) >>> 11) + 0.5) * 0x1.0p-53;
  }

  /** An integer in {@code [0, bound)}. */
  public int integer(int bound, long... counters) {
    return (int) (uniform(counters) * bound);
  }

  /** A standard normal number (Box and Muller, 1958). */
  public double gaussian(long... counters) {
    long first = bits(counters);
    double u1 = ((first >>> 11) + 0.5) * 0x1.0p-53;
    double u2 = ((mix(first + GOLDEN_GAMMA) >>> 11) + 0.5) * 0x1.0p-53;
    return StrictMath.sqrt(-2 * StrictMath.log(u1)) * StrictMath.cos(2 * StrictMath.PI * u2);
  }

  /**
   * A permutation of {@code 0..size-1} (Fisher and Yates) for the counters.
   *
   * @return an array of length {@code size}
   */
  public int[] permutation(int size, long... counters) {
    long base = bits(counters);
    int[] order = new int[size];
    for (int i = 0; i < size; i++) {
      order[i] = i;
    }
    for (int i = size - 1; i > 0; i--) {
      double u = ((mix(base + GOLDEN_GAMMA * (i + 1L)) >>> 11) + 0.5) * 0x1.0p-53;
      int j = (int) (u * (i + 1));
      int swapped = order[i];
      order[i] = order[j];
      order[j] = swapped;
    }
    return order;
  }

  static long mix(long value) {
    long z = value;
    z = (z ^ (z >>> 30)) * 0xBF58476D1CE4E5B9L;
    z = (z ^ (z >>> 27)) * 0x94D049BB133111EBL;
    return z ^ (z >>> 31);
  }
}
