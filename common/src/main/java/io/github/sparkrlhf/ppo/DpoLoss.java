package io.github.sparkrlhf.ppo;

/**
 * The loss of direct preference optimisation on one pair and its gradient, in double precision: the
 * reference that the differentiable version is held against.
 *
 * @param loss in the unit of the loss: nats for the sigmoid and the robust one
 * @param chosenSlope ∂loss/∂log π(y_t), the same for each token of the chosen response
 * @param rejectedSlope likewise of the rejected one
 */
record DpoLoss(double loss, double chosenSlope, double rejectedSlope) {

  /**
   * A response under the policy.
   *
   * @param logRatio log π − log π_ref, summed over its tokens, nats
   * @param tokens how many it has
   */
  record Response(double logRatio, int tokens) {}

  /**
   * The loss of a pair: a·ℓ(d) + (1 − a)·ℓ(−d).
   *
   * @param probability that the chosen response is the better one, from which a follows
   */
  static DpoLoss of(DpoSettings settings, Response chosen, Response rejected, double probability) {
    boolean means = settings.loss() == DpoSettings.Loss.IPO;
    double chosenUnit = means ? 1.0 / chosen.tokens() : 1;
    double rejectedUnit = means ? 1.0 / rejected.tokens() : 1;
    double difference = chosenUnit * chosen.logRatio() - rejectedUnit * rejected.logRatio();
    double share = settings.share(probability);
    double loss = share * loss(settings, difference) + (1 - share) * loss(settings, -difference);
    double slope = share * slope(settings, difference) - (1 - share) * slope(settings, -difference);
    return new DpoLoss(loss, chosenUnit * slope, -rejectedUnit * slope);
  }

  private static double loss(DpoSettings settings, double difference) {
    double reward = settings.beta() * difference;
    return switch (settings.loss()) {
      case SIGMOID, ROBUST -> Math.max(-reward, 0) + Math.log1p(Math.exp(-Math.abs(reward)));
      case IPO -> Math.pow(difference - 1 / (2 * settings.beta()), 2);
      case HINGE -> Math.max(0, 1 - reward);
    };
  }

  /** ∂ℓ/∂d. */
  private static double slope(DpoSettings settings, double difference) {
    double reward = settings.beta() * difference;
    return switch (settings.loss()) {
      case SIGMOID, ROBUST -> -settings.beta() / (1 + Math.exp(reward));
      case IPO -> 2 * (difference - 1 / (2 * settings.beta()));
      case HINGE -> reward < 1 ? -settings.beta() : 0;
    };
  }
}
