package io.github.sparkrlhf.feedback;

import java.util.Arrays;

/**
 * How far people agree who judge the same units. Only units with at least two judgements count. A
 * coefficient is NaN where it is not defined: without such units, and, except for the raw
 * agreement, if all judgements are the same value.
 *
 * <p>A unit u has m judgements, n_c of them of category c. P_u = Σ_c n_c(n_c − 1) / (m(m − 1)) is
 * the share of agreeing pairs of judgements. N is the number of all judgements, N_c that of
 * category c.
 *
 * @param rawAgreement the mean of P_u over units
 * @param fleissKappa κ = (P̄ − P_e) / (1 − P_e) with P̄ the raw agreement and P_e = Σ_c p_c², where
 *     p_c is the mean over units of n_c / m. With the same m for all units this is the κ of Fleiss
 *     (1971); units of different m count alike, as in Gwet (2014)
 * @param alphaNominal Krippendorff's (2011) α = 1 − D_o / D_e for values without an order: 1 − (N −
 *     1) Σ_u m(1 − P_u) / (N² − Σ_c N_c²)
 * @param alphaOrdinal α for ordered values: that for intervals after each value is replaced by its
 *     mid-rank among all judgements, which is Krippendorff's ordinal metric
 * @param alphaInterval α for numbers, with squared differences: 1 − (N − 1)/N · Σ_u m S_u / (m − 1)
 *     / S, where S_u and S are the sums of squared deviations from the mean, within the unit and
 *     over all judgements
 */
record AgreementCoefficients(
    double rawAgreement,
    double fleissKappa,
    double alphaNominal,
    double alphaOrdinal,
    double alphaInterval) {

  /** The coefficients of units. */
  static AgreementCoefficients of(CountVectors vectors) {
    return of(vectors, vectors.units());
  }

  /**
   * The coefficients if each vector had another number of units.
   *
   * @param units {@code [vectors.size()]}
   */
  static AgreementCoefficients of(CountVectors vectors, long[] units) {
    long[] totals = new long[vectors.categories()];
    double[] shares = new double[vectors.categories()];
    double agreement = 0;
    double disagreement = 0;
    double allUnits = 0;
    for (int v = 0; v < units.length; v++) {
      if (units[v] == 0) {
        continue;
      }
      double judgements = vectors.judgements(v);
      double agreeing = 0;
      for (int e = vectors.firstEntry(v); e < vectors.endEntry(v); e++) {
        double count = vectors.count(e);
        agreeing += count * (count - 1);
        totals[vectors.category(e)] += units[v] * vectors.count(e);
        shares[vectors.category(e)] += units[v] * (count / judgements);
      }
      double disagreeing = judgements * (judgements - 1) - agreeing;
      agreement += units[v] * (agreeing / (judgements * (judgements - 1)));
      disagreement += units[v] * (disagreeing / (judgements - 1));
      allUnits += units[v];
    }
    double raw = allUnits == 0 ? Double.NaN : agreement / allUnits;
    if (Arrays.stream(totals).filter(total -> total > 0).count() < 2) {
      return new AgreementCoefficients(raw, Double.NaN, Double.NaN, Double.NaN, Double.NaN);
    }
    return new AgreementCoefficients(
        raw,
        kappa(raw, shares, allUnits),
        alphaNominal(disagreement, totals),
        alphaInterval(vectors, units, totals, midRanks(totals)),
        alphaInterval(vectors, units, totals, vectors.values()));
  }

  private static double kappa(double agreement, double[] shares, double units) {
    double byChance = 0;
    for (double share : shares) {
      byChance += (share / units) * (share / units);
    }
    return (agreement - byChance) / (1 - byChance);
  }

  private static double alphaNominal(double disagreement, long[] totals) {
    double all = Arrays.stream(totals).sum();
    double disagreeing = 0;
    for (long total : totals) {
      disagreeing += total * (all - total);
    }
    return 1 - (all - 1) * disagreement / disagreeing;
  }

  private static double alphaInterval(
      CountVectors vectors, long[] units, long[] totals, double[] values) {
    double within = 0;
    for (int v = 0; v < units.length; v++) {
      int first = vectors.firstEntry(v);
      int end = vectors.endEntry(v);
      if (units[v] == 0 || end - first < 2) {
        continue;
      }
      double judgements = 0;
      double sum = 0;
      for (int e = first; e < end; e++) {
        judgements += vectors.count(e);
        sum += vectors.count(e) * values[vectors.category(e)];
      }
      double mean = sum / judgements;
      double squares = 0;
      for (int e = first; e < end; e++) {
        double deviation = values[vectors.category(e)] - mean;
        squares += vectors.count(e) * deviation * deviation;
      }
      within += units[v] * (judgements * squares / (judgements - 1));
    }
    double all = Arrays.stream(totals).sum();
    double sum = 0;
    for (int c = 0; c < totals.length; c++) {
      sum += totals[c] * values[c];
    }
    double mean = sum / all;
    double squares = 0;
    for (int c = 0; c < totals.length; c++) {
      squares += totals[c] * (values[c] - mean) * (values[c] - mean);
    }
    return 1 - (all - 1) / all * within / squares;
  }

  private static double[] midRanks(long[] totals) {
    double[] ranks = new double[totals.length];
    double below = 0;
    for (int c = 0; c < totals.length; c++) {
      ranks[c] = below + totals[c] / 2.0;
      below += totals[c];
    }
    return ranks;
  }
}
