package io.github.sparkrlhf.training;

import java.io.Serializable;

/**
 * The learning rate as a function of the step: a linear warm-up to the peak, then a decay to a
 * share of it.
 *
 * @param peak the highest learning rate
 * @param warmupSteps steps before the peak; 0 starts at the peak
 * @param totalSteps steps of the whole training; the final share is reached after the last one
 * @param decay the form of the decay
 * @param finalShare the share of the peak that the decay ends at, in [0, 1]
 */
public record LearningRateSchedule(
    double peak, long warmupSteps, long totalSteps, Decay decay, double finalShare)
    implements Serializable {
  /** How the learning rate falls from the peak to its final share. */
  public enum Decay {
    /** Not at all. */
    CONSTANT,
    /** Along a straight line. */
    LINEAR,
    /** Along half a period of a cosine (Loshchilov and Hutter, 2017). */
    COSINE
  }

  /** Checks the ranges. */
  public LearningRateSchedule {
    if (!(peak >= 0 && peak < Double.POSITIVE_INFINITY)) {
      throw new IllegalArgumentException("the peak is no learning rate: " + peak);
    }
    if (warmupSteps < 0 || totalSteps < warmupSteps) {
      throw new IllegalArgumentException(
          "a warm-up of " + warmupSteps + " does not fit into " + totalSteps + " steps");
    }
    if (!(finalShare >= 0 && finalShare <= 1)) {
      throw new IllegalArgumentException("the final share is not in [0, 1]: " + finalShare);
    }
  }

  /**
   * The learning rate of a step. In the warm-up step i has (i + 1)/(warm-up + 1) of the peak, so
   * that no step is wasted on a rate of 0; after it the decay is that of the schedules of the same
   * names in {@code transformers}.
   *
   * @param step the number of steps taken before this one, 0 for the first
   */
  public double at(long step) {
    if (step < warmupSteps) {
      return peak * (step + 1) / (warmupSteps + 1);
    }
    if (decay == Decay.CONSTANT) {
      return peak;
    }
    long decaySteps = totalSteps - warmupSteps;
    double progress = step >= totalSteps ? 1 : (double) (step - warmupSteps) / decaySteps;
    double remaining =
        decay == Decay.LINEAR ? 1 - progress : (1 + StrictMath.cos(StrictMath.PI * progress)) / 2;
    return peak * (finalShare + (1 - finalShare) * remaining);
  }
}
