package io.github.sparkrlhf.reward;

/**
 * The Bradley–Terry loss of a reward model on pairs (Stiennon et al., 2020, equation 1), with a
 * margin (Touvron et al., 2023, equation 2) and a pull of the scores towards 0 (Eisenstein et al.,
 * 2023): the mean of −log σ(s_c − s_r − m) + c·(s_c + s_r)². In double precision: the reference
 * that the differentiable version is held against.
 *
 * @param loss the mean over the pairs
 * @param accuracy share of pairs whose chosen response has the higher score
 * @param chosenGradient ∂loss/∂s_c, [pairs]
 * @param rejectedGradient ∂loss/∂s_r, [pairs]
 */
public record PairwiseLoss(
    double loss, double accuracy, double[] chosenGradient, double[] rejectedGradient) {

  /**
   * The loss of some pairs.
   *
   * @param chosen s_c, [pairs]
   * @param rejected s_r, [pairs]
   * @param margins m, [pairs]; zeros for none
   * @param centering the coefficient c; 0 for none
   * @param pairCount the number that the sums are divided by: the pairs of the whole minibatch
   */
  public static PairwiseLoss of(
      float[] chosen, float[] rejected, float[] margins, double centering, double pairCount) {
    double loss = 0;
    double correct = 0;
    double[] chosenGradient = new double[chosen.length];
    double[] rejectedGradient = new double[chosen.length];
    for (int i = 0; i < chosen.length; i++) {
      double difference = (double) chosen[i] - rejected[i] - margins[i];
      double sum = (double) chosen[i] + rejected[i];
      loss += softplus(-difference) + centering * sum * sum;
      correct += chosen[i] > rejected[i] ? 1 : 0;
      double slope = -sigmoid(-difference) / pairCount;
      double pull = 2 * centering * sum / pairCount;
      chosenGradient[i] = slope + pull;
      rejectedGradient[i] = -slope + pull;
    }
    return new PairwiseLoss(
        loss / pairCount, correct / pairCount, chosenGradient, rejectedGradient);
  }

  /** log(1 + eˣ) without overflow; −log σ(x) = softplus(−x). */
  private static double softplus(double x) {
    return Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
  }

  private static double sigmoid(double x) {
    return x >= 0 ? 1 / (1 + Math.exp(-x)) : Math.exp(x) / (1 + Math.exp(x));
  }
}
