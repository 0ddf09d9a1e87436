package io.github.sparkrlhf.ppo;

import io.github.sparkrlhf.spark.JobFailure;
import java.io.Serializable;

/**
 * When a training is thought to go wrong, and what is done then. Bounds are on the responses of one
 * iteration.
 *
 * @param action what is done
 * @param iterations how many iterations in a row the reward must rise and the watcher's score fall
 * @param bounds that no iteration should leave
 */
public record WatchdogSettings(Action action, int iterations, Bounds bounds)
    implements Serializable {
  /** Tells and does nothing. */
  public static final WatchdogSettings QUIET = new WatchdogSettings(Action.WARN, 5, Bounds.NONE);

  /** What is done on an alarm, besides telling the reason. */
  public enum Action {
    /** Nothing. */
    WARN("warn"),
    /** The learning rates are halved, at most once in so many iterations. */
    LOWER_LEARNING_RATE("lower-learning-rate"),
    /** The training ends with the weights of the best iteration. */
    STOP("stop");

    private final String label;

    Action(String label) {
      this.label = label;
    }

    @Override
    public String toString() {
      return label;
    }
  }

  /**
   * Bounds of an iteration.
   *
   * @param maxKl nats per response, on average; infinite for none
   * @param minLength tokens per response, on average; 0 for none
   * @param maxLength tokens per response, on average; infinite for none
   * @param maxRepetition mean share of a response's 4-grams that it had before; infinite for none
   * @param minDistinct share of the first iteration's distinct-2; 0 for none
   * @param minEntropy nats per token, estimated from the sampled tokens; 0 for none
   * @param maxSamplerDifference nats per token, on average, between the sampler's log-probabilities
   *     and the training's; infinite for none
   */
  public record Bounds(
      double maxKl,
      double minLength,
      double maxLength,
      double maxRepetition,
      double minDistinct,
      double minEntropy,
      double maxSamplerDifference)
      implements Serializable {
    private static final double INFINITE = Double.POSITIVE_INFINITY;

    /** No bound at all. */
    public static final Bounds NONE = new Bounds(INFINITE, 0, INFINITE, INFINITE, 0, 0, INFINITE);
  }

  /** Checks the range. */
  public WatchdogSettings {
    if (iterations < 1) {
      throw JobFailure.usage("Cannot watch " + iterations + " iterations");
    }
  }

  /** Whether the best weights so far must be kept. */
  boolean keepsBest() {
    return action == Action.STOP;
  }
}
