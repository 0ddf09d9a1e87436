package io.github.sparkrlhf.reward;

import java.util.Arrays;

/** What the best of n responses is worth, and how far it is from the policy that wrote them. */
public final class BestOfN {
  private BestOfN() {}

  /**
   * The expected greatest score of n draws without replacement, for each n: the unbiased estimate
   * of the expected score of the best of n new responses (Stiennon et al., 2020, use its mean).
   *
   * <p>With the scores sorted, the i-th smallest is the greatest of n in C(i − 1, n − 1) of C(m, n)
   * subsets.
   *
   * @param scores of m responses to one prompt
   * @param most the greatest n, at most m
   * @return for n = 1 … {@code most}
   */
  public static double[] expectedMaxima(double[] scores, int most) {
    double[] sorted = scores.clone();
    Arrays.sort(sorted);
    double[] expected = new double[most];
    for (int n = 1; n <= most; n++) {
      double weight = (double) n / sorted.length;
      double sum = 0;
      for (int i = sorted.length; i >= n; i--) {
        sum += weight * sorted[i - 1];
        // C(i − 2, n − 1) from C(i − 1, n − 1).
        weight *= i == n ? 0 : (double) (i - n) / (i - 1);
      }
      expected[n - 1] = sum;
    }
    return expected;
  }

  /**
   * log n − (n − 1)/n in nats: an upper bound of the KL divergence of the best of n from the policy
   * (Beirami et al., 2024, "Theoretical guarantees on the best-of-n alignment policy"), and close
   * to it where no response is likely.
   */
  public static double klBound(int n) {
    return Math.log(n) - (n - 1.0) / n;
  }
}
