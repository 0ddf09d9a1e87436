package io.github.sparkrlhf.feedback;

import java.io.Serializable;

/**
 * The maximisation step of a three-class Dawid–Skene model (Dawid and Skene, Applied Statistics 28,
 * 1979) with priors, and what it estimates.
 *
 * <p>The truth of a pair is that the first response is better, the second, or neither. A vote is
 * seen as it was displayed: with the truth t in {a, b, tie} as displayed, annotator j says l with
 * probability π_j[t][l]. So an annotator who prefers what stands first is told from one who is
 * right. The two responses of a pair come in an order that says nothing: first and second have the
 * same prior probability; that of a tie is estimated.
 *
 * <p>Each row of π_j has a Dirichlet prior of strength {@value #STRENGTH} around the mean confusion
 * of the crowd: annotators with few votes are taken for average. The crowd's own rows have {@value
 * #CROWD_STRENGTH} pseudo-votes, with {@value #MEAN_ACCURACY} on the diagonal; each class has
 * {@value #CLASS_PSEUDO_PAIRS} pseudo-pairs.
 */
final class DawidSkene {
  /** The classes of the truth and of votes: a, b, tie. */
  static final int CLASSES = 3;

  /** The cells of a confusion matrix, row by row. */
  static final int CELLS = CLASSES * CLASSES;

  /** Pseudo-votes with which an annotator's rows are drawn to the crowd's. */
  static final double STRENGTH = 4;

  /** What the crowd's accuracy is drawn to, before it has voted. */
  static final double MEAN_ACCURACY = 0.7;

  /** Sums of probabilities are counted in units of 2^-32: exact up to two billion votes. */
  static final double UNIT = 0x1p32;

  private static final double CROWD_STRENGTH = 4;
  private static final double CLASS_PSEUDO_PAIRS = 1;
  private static final double LOG_UNIT = 0x1p40;

  /**
   * The parameters as an expectation step needs them. Logarithms are integers in units of 2^-40, so
   * that the sum over a pair's votes does not depend on their order.
   *
   * @param confusions {@code [annotators, 3, 3]}; empty if there are no estimates, when the
   *     posterior of a pair is the share of its votes
   * @param classes {@code [3]}: first, second, tie
   */
  record Logs(long[] confusions, long[] classes) implements Serializable {
    /** No estimates: the posterior of a pair is the share of its votes. */
    static final Logs NONE = new Logs(new long[0], new long[0]);

    boolean areNone() {
      return classes.length == 0;
    }

    /** Replaces the sums of logarithms of the three classes by their probabilities. */
    static void normalise(long[] sums, double[] probabilities) {
      long greatest = Math.max(sums[0], Math.max(sums[1], sums[2]));
      for (int k = 0; k < CLASSES; k++) {
        long below = sums[k] - greatest;
        probabilities[k] = below == 0 ? 1 : StrictMath.exp(below / LOG_UNIT);
      }
      // First and second are added first: exchanging them must not change a bit.
      double total = probabilities[0] + probabilities[1] + probabilities[2];
      for (int k = 0; k < CLASSES; k++) {
        probabilities[k] /= total;
      }
    }
  }

  private final double[] confusions;
  private final double[] classes;

  private DawidSkene(double[] confusions, double[] classes) {
    this.confusions = confusions;
    this.classes = classes;
  }

  /**
   * The most probable parameters for expected counts.
   *
   * @param counts {@code [annotators, 3, 3]}: how often an annotator said the column when the
   *     displayed truth was the row, in units of 2^-32
   * @param truths {@code [3]}: how many pairs are first, second, tie, in units of 2^-32
   */
  static DawidSkene maximise(long[] counts, long[] truths) {
    double[] crowd = crowd(counts);
    double[] confusions = new double[counts.length];
    for (int row = 0; row < counts.length; row += CLASSES) {
      double votes = (counts[row] + counts[row + 1] + counts[row + 2]) / UNIT + STRENGTH;
      for (int said = 0; said < CLASSES; said++) {
        double prior = STRENGTH * crowd[row % CELLS + said];
        confusions[row + said] = (counts[row + said] / UNIT + prior) / votes;
      }
    }
    double decided = (truths[0] + truths[1]) / UNIT + 2 * CLASS_PSEUDO_PAIRS;
    double ties = truths[2] / UNIT + CLASS_PSEUDO_PAIRS;
    double pairs = decided + ties;
    return new DawidSkene(
        confusions, new double[] {decided / 2 / pairs, decided / 2 / pairs, ties / pairs});
  }

  /** The mean confusion of all votes: {@code [3, 3]}. */
  static double[] crowd(long[] counts) {
    long[] sums = new long[CELLS];
    for (int i = 0; i < counts.length; i++) {
      sums[i % CELLS] += counts[i];
    }
    double[] crowd = new double[CELLS];
    for (int cell = 0; cell < CELLS; cell++) {
      int row = cell / CLASSES * CLASSES;
      double votes = (sums[row] + sums[row + 1] + sums[row + 2]) / UNIT + CROWD_STRENGTH;
      boolean right = cell % CLASSES == cell / CLASSES;
      double prior = right ? MEAN_ACCURACY : (1 - MEAN_ACCURACY) / (CLASSES - 1);
      crowd[cell] = (sums[cell] / UNIT + CROWD_STRENGTH * prior) / votes;
    }
    return crowd;
  }

  /** The confusions of all annotators: {@code [annotators, 3, 3]}. */
  double[] confusions() {
    return confusions;
  }

  /** The largest change of a probability. */
  double change(DawidSkene before) {
    double change = 0;
    for (int k = 0; k < CLASSES; k++) {
      change = Math.max(change, Math.abs(classes[k] - before.classes[k]));
    }
    for (int i = 0; i < confusions.length; i++) {
      change = Math.max(change, Math.abs(confusions[i] - before.confusions[i]));
    }
    return change;
  }

  /** The parameters for an expectation step. */
  Logs logs() {
    return new Logs(logs(confusions), logs(classes));
  }

  private static long[] logs(double[] probabilities) {
    long[] logs = new long[probabilities.length];
    for (int i = 0; i < logs.length; i++) {
      logs[i] = Math.round(StrictMath.log(probabilities[i]) * LOG_UNIT);
    }
    return logs;
  }
}
