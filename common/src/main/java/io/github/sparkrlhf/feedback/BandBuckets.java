package io.github.sparkrlhf.feedback;

import java.util.ArrayDeque;
import java.util.Iterator;
import java.util.NoSuchElementException;
import java.util.Queue;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;

/**
 * The candidates (key_a &lt; key_b) of rows (band, key) that are sorted by both; a bucket is all
 * rows of a band. See {@link NearDuplicates} for what a large bucket gives.
 */
final class BandBuckets implements Iterator<Row> {
  /** How many keys of a bucket are all compared with each other. */
  static final int ALL_PAIRS = 16;

  private final Iterator<Row> rows;
  private final long[] least = new long[ALL_PAIRS];
  private final Queue<Row> candidates = new ArrayDeque<>();
  private int size;
  private long band;
  private long previous;

  BandBuckets(Iterator<Row> rows) {
    this.rows = rows;
  }

  @Override
  public boolean hasNext() {
    while (candidates.isEmpty() && rows.hasNext()) {
      Row row = rows.next();
      add(row.getLong(0), row.getLong(1));
    }
    return !candidates.isEmpty();
  }

  @Override
  public Row next() {
    if (!hasNext()) {
      throw new NoSuchElementException();
    }
    return candidates.remove();
  }

  private void add(long rowBand, long key) {
    if (rowBand != band) {
      band = rowBand;
      size = 0;
    } else if (size > 0 && key == previous) {
      return;
    }
    if (size < ALL_PAIRS) {
      for (int i = 0; i < size; i++) {
        candidates.add(RowFactory.create(least[i], key));
      }
      least[size++] = key;
    } else {
      candidates.add(RowFactory.create(least[0], key));
      candidates.add(RowFactory.create(previous, key));
    }
    previous = key;
  }
}
