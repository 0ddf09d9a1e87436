package io.github.sparkrlhf.ppo;

import io.github.sparkrlhf.spark.JobFailure;
import java.io.Serializable;

/**
 * The KL coefficient β, fixed or adapted towards a target (Ziegler et al., 2019, section 2.2): e =
 * clip(KL/target − 1, −0.2, 0.2), β ← β·(1 + e·n/horizon). Immutable; its whole state is the
 * coefficient, which a checkpoint keeps.
 *
 * @param coefficient β
 * @param target nats of a whole response, not of a token; ignored by a fixed coefficient
 * @param horizon responses over which β reacts; infinite for a fixed coefficient
 */
public record KlController(double coefficient, double target, double horizon)
    implements Serializable {
  private static final double MAX_ERROR = 0.2;

  /** Checks the ranges. */
  public KlController {
    if (!(coefficient >= 0 && coefficient < Double.POSITIVE_INFINITY)) {
      throw new IllegalArgumentException("the KL coefficient is out of range: " + coefficient);
    }
    if (!(target > 0) || !(horizon > 0)) {
      throw new IllegalArgumentException(
          "target and horizon of the KL coefficient must be positive: " + target + ", " + horizon);
    }
  }

  /** A coefficient that never changes. */
  public static KlController fixed(double coefficient) {
    return new KlController(coefficient, 1, Double.POSITIVE_INFINITY);
  }

  /** A coefficient that follows the divergence; customarily target 6 and horizon 10,000. */
  public static KlController adaptive(double coefficient, double target, double horizon) {
    if (horizon == Double.POSITIVE_INFINITY) {
      throw new IllegalArgumentException("an adaptive KL coefficient needs a finite horizon");
    }
    return new KlController(coefficient, target, horizon);
  }

  /**
   * The controller after a batch of responses.
   *
   * @param kl mean over the responses of Σ_t KL_t, in nats
   * @param responses the number of responses in the batch
   */
  public KlController after(double kl, long responses) {
    if (!Double.isFinite(kl)) {
      throw JobFailure.failure("Cannot adapt the KL coefficient: the KL is " + kl);
    }
    double error = Math.max(-MAX_ERROR, Math.min(MAX_ERROR, kl / target - 1));
    return withCoefficient(coefficient * (1 + error * responses / horizon));
  }

  /** The same controller with the coefficient of a checkpoint. */
  public KlController withCoefficient(double restored) {
    return new KlController(restored, target, horizon);
  }
}
