package io.github.sparkrlhf.training;

import io.github.sparkrlhf.spark.JobFailure;

/**
 * How many steps each lane takes alone between two rounds (Douillard et al., 2023, "DiLoCo"): the
 * lanes start from the same weights, step an AdamW of their own, and return how far they came; the
 * mean of that is the gradient of the outer optimiser, {@link NesterovMomentum}.
 *
 * <p>A lane's AdamW begins anew in each round. So nothing lives on an executor that a retried task
 * could not make again, and the result is as reproducible as that of synchronous training.
 *
 * @param count H; 1 is synchronous training, without an outer optimiser
 * @param outerLearningRate of the outer optimiser, constant
 * @param outerMomentum of the outer optimiser
 */
public record LocalSteps(int count, double outerLearningRate, double outerMomentum) {
  /** Gradients are summed after each step. */
  public static final LocalSteps SYNCHRONOUS = new LocalSteps(1, 1, 0);

  /** Checks the ranges. */
  public LocalSteps {
    if (count < 1
        || !(outerLearningRate > 0 && outerLearningRate < Double.POSITIVE_INFINITY)
        || !(outerMomentum >= 0 && outerMomentum < 1)) {
      throw JobFailure.usage(
          "Cannot take %d local steps with outer learning rate %s and momentum %s"
              .formatted(count, outerLearningRate, outerMomentum));
    }
  }

  boolean isSynchronous() {
    return count == 1;
  }
}
