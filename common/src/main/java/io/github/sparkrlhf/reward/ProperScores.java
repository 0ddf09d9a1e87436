package io.github.sparkrlhf.reward;

/** The two proper scoring rules for a probability against a share of votes; smaller is better. */
public final class ProperScores {
  private ProperScores() {}

  /**
   * The cross entropy in nats: −p·log q − (1 − p)·log(1 − q) for a share p of votes. Does not
   * overflow, however sure the model is.
   *
   * @param logOdds the model's log-odds, log q − log(1 − q)
   * @param probability that people prefer the first response
   */
  public static double logLoss(double logOdds, double probability) {
    double softplus = Math.max(logOdds, 0) + Math.log1p(Math.exp(-Math.abs(logOdds)));
    return softplus - probability * logOdds;
  }

  /**
   * The score of Brier (1950) of one class, (q − p)².
   *
   * @param predicted the model's probability that people prefer the first response
   * @param probability that they do
   */
  public static double brier(double predicted, double probability) {
    return (predicted - probability) * (predicted - probability);
  }
}
