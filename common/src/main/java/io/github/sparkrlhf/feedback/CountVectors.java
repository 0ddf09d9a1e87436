package io.github.sparkrlhf.feedback;

import io.github.sparkrlhf.spark.CounterRandom;
import java.util.Arrays;
import java.util.stream.DoubleStream;
import java.util.stream.IntStream;
import java.util.stream.LongStream;

/**
 * Units that were judged at least twice, as the distinct vectors of how many judgements have each
 * value, and how many units have each vector. Flat arrays: continuous ratings may give every unit a
 * vector of its own.
 */
final class CountVectors {
  private static final CounterRandom CONTENT = new CounterRandom(0, "count vector");

  /** The distinct values in ascending order: the categories. */
  private final double[] values;

  /** The entries of vector v are {@code start[v]} to {@code start[v + 1] - 1}. */
  private final int[] start;

  private final int[] category;
  private final int[] count;
  private final long[] units;

  private CountVectors(double[] judged, int[] start, int[] count, long[] units) {
    this.values = Arrays.stream(judged).sorted().distinct().toArray();
    this.start = start;
    this.category = Arrays.stream(judged).mapToInt(v -> Arrays.binarySearch(values, v)).toArray();
    this.count = count;
    this.units = units;
  }

  /** Collects vectors. */
  static final class Builder {
    private final DoubleStream.Builder judged = DoubleStream.builder();
    private final IntStream.Builder count = IntStream.builder();
    private final IntStream.Builder start = IntStream.builder();
    private final LongStream.Builder units = LongStream.builder();
    private int entries;

    /**
     * Adds units that were judged alike, unless they were judged only once: these say nothing about
     * agreement.
     *
     * @param judgements the values of a unit in ascending order, without NaN and negative zero
     * @param sameUnits how many units were judged so
     */
    Builder add(double[] judgements, long sameUnits) {
      if (judgements.length < 2) {
        return this;
      }
      start.add(entries);
      units.add(sameUnits);
      for (int from = 0, to; from < judgements.length; from = to) {
        to = from + 1;
        while (to < judgements.length && judgements[to] == judgements[from]) {
          to++;
        }
        judged.add(judgements[from]);
        count.add(to - from);
        entries++;
      }
      return this;
    }

    CountVectors build() {
      start.add(entries);
      return new CountVectors(
          judged.build().toArray(),
          start.build().toArray(),
          count.build().toArray(),
          units.build().toArray());
    }
  }

  /** How many distinct vectors there are. */
  int size() {
    return units.length;
  }

  /** How many values all vectors have together; what a pass over them costs. */
  int entries() {
    return count.length;
  }

  int categories() {
    return values.length;
  }

  /** The values of the categories, ascending. */
  double[] values() {
    return values.clone();
  }

  /** The number of units with each vector. */
  long[] units() {
    return units.clone();
  }

  long units(int vector) {
    return units[vector];
  }

  int firstEntry(int vector) {
    return start[vector];
  }

  int endEntry(int vector) {
    return start[vector + 1];
  }

  int category(int entry) {
    return category[entry];
  }

  int count(int entry) {
    return count[entry];
  }

  /** The number of judgements of a unit with the vector. */
  int judgements(int vector) {
    int sum = 0;
    for (int e = start[vector]; e < start[vector + 1]; e++) {
      sum += count[e];
    }
    return sum;
  }

  /** A number that depends on the vector's values and counts only. */
  long key(int vector) {
    long key = 0;
    for (int e = start[vector]; e < start[vector + 1]; e++) {
      key = CONTENT.bits(key, Double.doubleToLongBits(values[category[e]]), count[e]);
    }
    return key;
  }
}
