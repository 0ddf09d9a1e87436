package io.github.sparkrlhf.training;

import java.io.Serializable;

/** How executors get all weights from what was broadcast to them. */
@FunctionalInterface
public interface WeightView extends Serializable {
  /** All weights are broadcast. */
  WeightView IDENTITY = broadcast -> broadcast;

  /**
   * All weights, flat.
   *
   * @param broadcast never changed afterwards
   * @return not to be changed; the same array for the same array, as long as it is in use
   */
  float[] all(float[] broadcast);
}
