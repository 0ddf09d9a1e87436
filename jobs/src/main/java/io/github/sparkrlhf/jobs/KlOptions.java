package io.github.sparkrlhf.jobs;

import io.github.sparkrlhf.ppo.Algorithm;
import io.github.sparkrlhf.ppo.KlController;
import io.github.sparkrlhf.ppo.KlEstimator;
import io.github.sparkrlhf.ppo.KlUse;
import java.util.List;
import java.util.Set;
import picocli.CommandLine.Option;

/** The penalty for leaving the reference policy. */
final class KlOptions {
  private static final String KL_HORIZON = "kl-horizon";

  @Option(
      names = "--kl-coefficient",
      paramLabel = "BETA",
      defaultValue = "0.05",
      description = "Coefficient of the KL penalty at the start (default: ${DEFAULT-VALUE}).")
  private double klCoefficient;

  @Option(
      names = "--kl-target",
      paramLabel = "NATS",
      description =
          "Adapt the coefficient towards this KL per response (default: none, the coefficient is fixed).")
  private Double klTarget;

  @Option(
      names = "--kl-horizon",
      paramLabel = "RESPONSES",
      defaultValue = "10000",
      description = "Slowness of the adaptation (default: ${DEFAULT-VALUE}).")
  private double klHorizon;

  @Option(
      names = "--kl-estimator",
      paramLabel = "K",
      description =
          "Estimator of the penalty: ${COMPLETION-CANDIDATES} (default: K1 in the reward, K2 in the loss, where K1 has no gradient on average and K3 a biased one).")
  private KlEstimator klEstimator;

  @Option(
      names = "--kl-in",
      paramLabel = "PLACE",
      description =
          "Where the penalty is: subtracted from the rewards, or added to the loss and differentiated: ${COMPLETION-CANDIDATES} (default: LOSS for grpo and dr-grpo, else REWARD).")
  private KlUse klIn;

  /**
   * Checks the ranges, and that every option given has a meaning.
   *
   * @param responses of an iteration
   */
  void validate(Given given, Algorithm algorithm, int responses) {
    Given.requireNotNegative("kl-coefficient", klCoefficient);
    Given.require(
        use(algorithm) == KlUse.REWARD || estimator(algorithm).hasGradient(),
        "kl-estimator",
        klEstimator,
        "K2 or K3 in the loss: K1 has no gradient on average");
    if (klTarget == null) {
      given.refuse(List.of(KL_HORIZON), "without --kl-target the coefficient is fixed");
      return;
    }
    Given.requirePositive("kl-target", klTarget);
    Given.requirePositive(KL_HORIZON, klHorizon);
    Given.require(
        klHorizon >= responses,
        KL_HORIZON,
        klHorizon,
        "at least the " + responses + " responses of an iteration");
  }

  /** Names of the options that say nothing about this run. */
  Set<String> outsideIdentity() {
    return klTarget == null ? Set.of(KL_HORIZON) : Set.of();
  }

  KlController controller() {
    return klTarget == null
        ? KlController.fixed(klCoefficient)
        : KlController.adaptive(klCoefficient, klTarget, klHorizon);
  }

  KlUse use(Algorithm algorithm) {
    return klIn == null ? algorithm.klUse() : klIn;
  }

  KlEstimator estimator(Algorithm algorithm) {
    if (klEstimator != null) {
      return klEstimator;
    }
    return use(algorithm) == KlUse.LOSS ? KlEstimator.K2 : KlEstimator.K1;
  }
}
