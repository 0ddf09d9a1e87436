package io.github.sparkrlhf.training;

import io.github.sparkrlhf.spark.JobFailure;
import java.io.Serializable;

/**
 * How the training set is dealt. Part of the training configuration, not of the cluster: a step's
 * minibatch has about {@code lanes × microBatch × accumulate} rows wherever it runs.
 *
 * @param lanes a power of two; the most tasks that can work on one step
 * @param microBatch rows of a lane that are computed together, on average
 * @param accumulate micro-batches that a lane contributes to a step, one after the other
 * @param seed of the order of rows
 * @param order which rows come together in a step
 */
public record LaneSettings(int lanes, int microBatch, int accumulate, long seed, Order order)
    implements Serializable {
  /** Which rows come together in a step. */
  public enum Order {
    /** Rows of similar length: little padding. */
    BY_LENGTH,
    /** Any rows, drawn anew in every epoch. */
    SHUFFLED
  }

  /** One micro-batch per lane and step. */
  public LaneSettings(int lanes, int microBatch, long seed, Order order) {
    this(lanes, microBatch, 1, seed, order);
  }

  /** One micro-batch per lane and step; rows of similar length come together. */
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
    if (accumulate < 1) {
      throw JobFailure.usage(
          "Cannot deal rows: " + accumulate + " micro-batches per lane and step are not >= 1");
    }
  }

  /** Steps that go through {@code rows} rows once; at least 1. */
  public int stepsPerEpoch(long rows) {
    long perStep = Math.multiplyExact((long) lanes * microBatch, accumulate);
    return Math.toIntExact(Math.max(1, (rows + perStep - 1) / perStep));
  }
}
