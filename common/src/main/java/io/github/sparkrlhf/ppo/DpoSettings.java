package io.github.sparkrlhf.ppo;

import io.github.sparkrlhf.spark.JobFailure;
import java.io.Serializable;
import java.util.Locale;

/**
 * What direct preference optimisation minimises.
 *
 * @param loss ℓ of a pair
 * @param beta β of the implicit reward β·(log π − log π_ref) per nat: how dear it is to leave the
 *     reference
 * @param labelSmoothing ε, the share of labels that are taken to be wrong; only of {@link
 *     Loss#SIGMOID} and {@link Loss#ROBUST}
 */
public record DpoSettings(Loss loss, double beta, double labelSmoothing) implements Serializable {
  private static final long serialVersionUID = 1L;

  /**
   * Losses of a pair by d, the log-ratio of the chosen response less that of the rejected one; the
   * log-ratio of a response is log π − log π_ref, summed over its tokens.
   */
  public enum Loss {
    /**
     * −log σ(β·d) (Rafailov et al., 2023, equation 7); with ε the expectation over wrong labels.
     */
    SIGMOID,
    /** (d − 1/(2β))², log-ratios being means over tokens (Azar et al., 2024, equation 17). */
    IPO,
    /** max(0, 1 − β·d) (Zhao et al., 2023). */
    HINGE,
    /** The sigmoid loss without the bias of wrong labels (Chowdhury et al., 2024, equation 12). */
    ROBUST;

    /** Whether wrong labels have a meaning for it. */
    public boolean smooths() {
      return this == SIGMOID || this == ROBUST;
    }

    @Override
    public String toString() {
      return name().toLowerCase(Locale.ROOT);
    }
  }

  /** Checks the ranges. */
  public DpoSettings {
    if (!(beta > 0 && Double.isFinite(beta))) {
      throw JobFailure.usage("Cannot optimise preferences: beta cannot be " + beta);
    }
    boolean valid =
        loss == Loss.ROBUST
            ? labelSmoothing > 0 && labelSmoothing < 0.5
            : labelSmoothing == 0 || loss.smooths() && labelSmoothing > 0 && labelSmoothing < 0.5;
    if (!valid) {
      throw JobFailure.usage(
          "Cannot optimise preferences: label smoothing cannot be "
              + labelSmoothing
              + " with the loss "
              + loss);
    }
  }

  /**
   * The share of ℓ(d) in the loss of a pair; ℓ(−d) has the rest.
   *
   * @param probability that the chosen response is the better one
   */
  double share(double probability) {
    return loss == Loss.ROBUST
        ? (probability - labelSmoothing) / (1 - 2 * labelSmoothing)
        : probability + labelSmoothing * (1 - 2 * probability);
  }
}
