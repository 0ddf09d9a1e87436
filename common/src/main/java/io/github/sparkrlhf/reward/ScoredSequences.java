package io.github.sparkrlhf.reward;

import ai.djl.ndarray.NDManager;
import io.github.sparkrlhf.lm.GradMode;
import io.github.sparkrlhf.lm.ReplicaPool;
import io.github.sparkrlhf.lm.SequenceBatch;
import io.github.sparkrlhf.lm.TransformerConfig;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Iterator;
import java.util.List;
import java.util.NoSuchElementException;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;

/**
 * Scores rows as they are asked for, a batch of distinct token sequences at a time. Equal sequences
 * are neighbours: they share one place in a batch, hence one score.
 */
final class ScoredSequences implements Iterator<Row> {
  private final Iterator<Row> rows;
  private final TransformerConfig config;
  private final float[] weights;
  private final int width;
  private Iterator<Row> scored = List.<Row>of().iterator();
  private Row next;

  /**
   * The scores of rows.
   *
   * @param rows {@code width} columns of any kind, then the unit, the task and the tokens; sorted
   *     by unit, length and tokens
   */
  ScoredSequences(Iterator<Row> rows, TransformerConfig config, float[] weights, int width) {
    this.rows = rows;
    this.config = config;
    this.weights = weights;
    this.width = width;
  }

  @Override
  public boolean hasNext() {
    if (!scored.hasNext()) {
      scored = batch();
    }
    return scored.hasNext();
  }

  @Override
  public Row next() {
    if (!hasNext()) {
      throw new NoSuchElementException();
    }
    return scored.next();
  }

  private Iterator<Row> batch() {
    List<Row> pending = new ArrayList<>();
    List<Integer> places = new ArrayList<>();
    List<int[]> sequences = new ArrayList<>();
    int[] last = null;
    while (next != null || rows.hasNext()) {
      Row row = next != null ? next : rows.next();
      next = null;
      int[] tokens = tokens(row);
      if (!Arrays.equals(tokens, last)) {
        if (last != null && startsBatch(pending.get(0), row, sequences.size(), tokens.length)) {
          next = row;
          break;
        }
        sequences.add(tokens);
        last = tokens;
      }
      pending.add(row);
      places.add(sequences.size() - 1);
    }
    if (pending.isEmpty()) {
      return List.<Row>of().iterator();
    }
    float[] scores = scores(config, weights, sequences);
    List<Row> batch = new ArrayList<>();
    for (int i = 0; i < pending.size(); i++) {
      batch.add(withScore(pending.get(i), scores[places.get(i)]));
    }
    return batch.iterator();
  }

  private boolean startsBatch(Row first, Row row, int rowsSoFar, int length) {
    return first.getInt(width) != row.getInt(width)
        || (rowsSoFar + 1L) * length > ScoringPlan.BATCH_TOKENS;
  }

  private int[] tokens(Row row) {
    return row.<Integer>getList(width + 2).stream().mapToInt(Integer::intValue).toArray();
  }

  private Row withScore(Row row, double score) {
    Object[] values = new Object[width + 1];
    for (int i = 0; i < width; i++) {
      values[i] = row.get(i);
    }
    values[width] = score;
    return RowFactory.create(values);
  }

  /** Scores of sequences that are computed together, by a replica of this thread. */
  static float[] scores(TransformerConfig config, float[] weights, List<int[]> sequences) {
    try (ReplicaPool.Lease lease = ReplicaPool.lease(config, weights, 0);
        GradMode ignored = GradMode.inference();
        NDManager manager = lease.replica().newManager()) {
      return SequenceBatch.atLastTokens(sequences).scores(lease.replica(), manager);
    }
  }
}
