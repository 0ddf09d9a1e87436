package io.github.sparkrlhf.reward;

import java.io.Serializable;
import java.util.Arrays;
import java.util.Iterator;
import org.apache.spark.ml.linalg.SparseVector;
import org.apache.spark.sql.Row;

/**
 * The pairs of one partition as {@link BradleyTerryLoss} needs them: the differences of their
 * features in compressed rows, and what the votes say.
 */
final class PairBlock implements Serializable {
  private static final long serialVersionUID = 1L;

  /** The longest array of most virtual machines. */
  private static final int MOST_FEATURES = Integer.MAX_VALUE - 8;

  private int pairs;
  private int[] ends = {};
  private double[] probabilities = {};
  private double[] weights = {};
  private int[] indices = {};
  private double[] values = {};

  private PairBlock() {}

  /**
   * Reads pairs.
   *
   * @param rows probability, weight and the {@link TextFeatures.Counts} of both responses
   * @throws ArithmeticException if a partition has more than 2³¹ features
   */
  static PairBlock of(TextFeatures features, Iterator<Row> rows) {
    PairBlock block = new PairBlock();
    rows.forEachRemaining(
        row ->
            block.add(
                row.getDouble(0),
                row.getDouble(1),
                features.difference(
                    TextFeatures.Counts.of(row.getAs(2)), TextFeatures.Counts.of(row.getAs(3)))));
    block.resize(block.pairs, block.pairs == 0 ? 0 : block.ends[block.pairs - 1]);
    return block;
  }

  private void resize(int rows, int features) {
    ends = Arrays.copyOf(ends, rows);
    probabilities = Arrays.copyOf(probabilities, rows);
    weights = Arrays.copyOf(weights, rows);
    indices = Arrays.copyOf(indices, features);
    values = Arrays.copyOf(values, features);
  }

  private void add(double probability, double weight, SparseVector difference) {
    int start = pairs == 0 ? 0 : ends[pairs - 1];
    int end = Math.addExact(start, difference.indices().length);
    if (pairs == ends.length || end > indices.length) {
      resize(Math.max(pairs + 1, 2 * pairs), (int) Math.min(MOST_FEATURES, 2L * end));
    }
    System.arraycopy(difference.indices(), 0, indices, start, end - start);
    System.arraycopy(difference.values(), 0, values, start, end - start);
    ends[pairs] = end;
    probabilities[pairs] = probability;
    weights[pairs++] = weight;
  }

  /** Bytes that the block takes. */
  long bytes() {
    return 12L * indices.length + 20L * ends.length;
  }

  /** The sum of the weights of the pairs. */
  double weight() {
    double sum = 0;
    for (int pair = 0; pair < pairs; pair++) {
      sum += weights[pair];
    }
    return sum;
  }

  /**
   * The weighted sum of the pairs' losses −p·log σ(d) − (1 − p)·log σ(−d), where d is the inner
   * product of coefficients and difference.
   *
   * @param gradient to which the gradient with respect to the coefficients is added
   */
  double addGradient(double[] coefficients, double[] gradient) {
    double loss = 0;
    for (int pair = 0, start = 0; pair < pairs; start = ends[pair++]) {
      double score = 0;
      for (int i = start; i < ends[pair]; i++) {
        score += coefficients[indices[i]] * values[i];
      }
      double p = probabilities[pair];
      // −log σ(d) = max(0, −d) + log(1 + exp(−|d|)), which does not overflow.
      loss +=
          weights[pair] * (Math.log1p(Math.exp(-Math.abs(score))) + Math.max(0, score) - p * score);
      double slope = weights[pair] * (1 / (1 + Math.exp(-score)) - p);
      for (int i = start; i < ends[pair]; i++) {
        gradient[indices[i]] += slope * values[i];
      }
    }
    return loss;
  }
}
