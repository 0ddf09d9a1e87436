package io.github.sparkrlhf.training;

import io.github.sparkrlhf.spark.JobFailure;
import java.io.Serializable;

/**
 * How the training set is dealt. Part of the training configuration, not of the cluster: a step's
 * minibatch has about {@code lanes × microBatch} rows wherever it runs.
 *
 * @param lanes a power of two; the most tasks that can work on one step
 * @param microBatch rows that a lane contributes to a step, on average
 * @param seed of the order of rows
 * @param order which rows come together in a step
 */
public record LaneSettings(int lanes, int microBatch, long seed, Order order)
    implements Serializable {
  /** Which rows come together in a step. */
  public enum Order {
    /** Rows of similar length: little padding. */
    BY_LENGTH,
    /** Any rows, drawn anew in every epoch. */
    SHUFFLED
  }

  /** Rows of similar length come together. */
  public LaneSettings(int lanes, int microBatch, long seed) {
    this(lanes, microBatch, seed, Order.BY_LENGTH);
  }

  /** Checks the ranges. */
  public LaneSettings {
    if (lanes < 1 || Integer.bitCount(lanes) != 1) {
      throw JobFailure.usage("Cannot deal rows: " + lanes + " lanes are not a power of two");
    }
    if (microBatch < 1) {
      throw JobFailure.usage("Cannot deal rows: a micro-batch of " + microBatch + " is not >= 1");
    }
  }

  /** Steps that go through {@code rows} rows once; at least 1. */
  public int stepsPerEpoch(long rows) {
    long perStep = (long) lanes * microBatch;
    return Math.toIntExact(Math.max(1, (rows + perStep - 1) / perStep));
  }
}
