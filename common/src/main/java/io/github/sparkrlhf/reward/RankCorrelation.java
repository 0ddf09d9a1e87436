package io.github.sparkrlhf.reward;

/** How far two lists of numbers are in one order; 0 if one of them is constant. */
final class RankCorrelation {
  private RankCorrelation() {}

  /** Spearman's ρ: Pearson's correlation of the ranks, equal numbers sharing their mean rank. */
  static double spearman(double[] x, double[] y) {
    double[] a = ranks(x);
    double[] b = ranks(y);
    double mean = (x.length + 1) / 2.0;
    double covariance = 0;
    double varianceA = 0;
    double varianceB = 0;
    for (int i = 0; i < a.length; i++) {
      covariance += (a[i] - mean) * (b[i] - mean);
      varianceA += (a[i] - mean) * (a[i] - mean);
      varianceB += (b[i] - mean) * (b[i] - mean);
    }
    return varianceA == 0 || varianceB == 0 ? 0 : covariance / Math.sqrt(varianceA * varianceB);
  }

  /** Kendall's τ-b (Kendall, 1945): concordant minus discordant pairs, corrected for ties. */
  static double kendall(double[] x, double[] y) {
    double balance = 0;
    double untiedX = 0;
    double untiedY = 0;
    for (int i = 0; i < x.length; i++) {
      for (int j = 0; j < i; j++) {
        double dx = Math.signum(x[i] - x[j]);
        double dy = Math.signum(y[i] - y[j]);
        balance += dx * dy;
        untiedX += dx * dx;
        untiedY += dy * dy;
      }
    }
    return untiedX == 0 || untiedY == 0 ? 0 : balance / Math.sqrt(untiedX * untiedY);
  }

  /** Ranks from 1 for the least. */
  private static double[] ranks(double[] values) {
    double[] ranks = new double[values.length];
    for (int i = 0; i < values.length; i++) {
      double below = 0;
      double equal = 0;
      for (double other : values) {
        below += other < values[i] ? 1 : 0;
        equal += other == values[i] ? 1 : 0;
      }
      ranks[i] = below + (equal + 1) / 2;
    }
    return ranks;
  }
}
