package io.github.sparkrlhf.feedback;

import static io.github.sparkrlhf.feedback.DawidSkene.CELLS;
import static io.github.sparkrlhf.feedback.DawidSkene.CLASSES;
import static io.github.sparkrlhf.feedback.DawidSkene.STRENGTH;
import static io.github.sparkrlhf.feedback.DawidSkene.UNIT;
import static io.github.sparkrlhf.feedback.PairVotes.AGREEMENT_SUMS;

import java.io.Serializable;
import java.util.ArrayList;
import java.util.List;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;

/**
 * The rows of the table {@code annotators}. All of it follows from integer sums, hence it does not
 * depend on how votes are ordered or partitioned.
 */
final class AnnotatorStatistics implements Serializable {
  /** Votes from which {@code always_same_answer} is judged. */
  static final int SAME_ANSWER_VOTES = 20;

  /** Share of one answer from which it is {@code always_same_answer}. */
  static final double SAME_ANSWER_SHARE = 0.98;

  /** |z| from which a position bias is not chance: one in 16,000. */
  static final double POSITION_Z = 4;

  /** |bias| from which a position bias matters. */
  static final double POSITION_BIAS = 0.25;

  /** Votes from which {@code random} and {@code adversarial} are judged. */
  static final int ACCURACY_VOTES = 10;

  /** A decided accuracy surely below this is {@code random}. */
  static final double RANDOM_ACCURACY = 0.6;

  /** A decided accuracy surely below this is {@code adversarial}. */
  static final double ADVERSARIAL_ACCURACY = 0.5;

  /** Timed votes from which {@code too_fast} is judged. */
  static final int FAST_VOTES = 20;

  /** A median below this many seconds is {@code too_fast}. */
  static final double FAST_SECONDS = 2;

  private static final long serialVersionUID = 1L;
  private static final int A = 0;
  private static final int B = 1;
  private static final int TIE = 2;

  private final AnnotatorIndex annotators;
  private final JudgingTimes times;
  private final long[] agreements;
  private final boolean estimated;
  private final long[] counts;
  private final double[] confusions;
  private final double crowdAccuracy;
  private final double crowdDecidedAccuracy;

  /**
   * The statistics of a fitted model.
   *
   * @param agreements {@code [annotators, 3]}, see {@link PairVotes#agreements()}
   * @param counts {@code [annotators, 3, 3]}, see {@link DawidSkene#maximise}
   * @param confusions {@code [annotators, 3, 3]}; empty if reliability cannot be estimated
   */
  AnnotatorStatistics(
      AnnotatorIndex annotators,
      JudgingTimes times,
      long[] agreements,
      long[] counts,
      double[] confusions) {
    this.annotators = annotators;
    this.times = times;
    this.agreements = agreements;
    this.estimated = confusions.length > 0;
    this.counts = counts;
    this.confusions = confusions;
    long[] crowd = new long[CELLS];
    for (int i = 0; i < counts.length; i++) {
      crowd[i % CELLS] += counts[i];
    }
    Right all = Right.among(crowd, 0);
    Right decided = Right.amongDecided(crowd, 0);
    this.crowdAccuracy = all.share(DawidSkene.MEAN_ACCURACY);
    this.crowdDecidedAccuracy = decided.share(DawidSkene.MEAN_ACCURACY);
  }

  /** How many votes are expected to be right, of how many. */
  private record Right(double right, double votes) {
    static Right among(long[] counts, int base) {
      long votes = 0;
      for (int cell = 0; cell < CELLS; cell++) {
        votes += counts[base + cell];
      }
      long right = counts[base] + counts[base + CLASSES + B] + counts[base + 2 * CLASSES + TIE];
      return new Right(right / UNIT, votes / UNIT);
    }

    static Right amongDecided(long[] counts, int base) {
      long right = counts[base] + counts[base + CLASSES + B];
      long wrong = counts[base + B] + counts[base + CLASSES];
      return new Right(right / UNIT, (right + wrong) / UNIT);
    }

    /** The share that is right, drawn to {@code mean} as by {@code STRENGTH} more votes. */
    double share(double mean) {
      return (right + STRENGTH * mean) / (votes + STRENGTH);
    }

    WilsonInterval interval(double mean) {
      long n = Math.round(votes);
      return WilsonInterval.of(share(mean) * n, n);
    }
  }

  /** The row of an annotator, with the columns of the table but the run. */
  Row row(int annotator) {
    long a = annotators.said(annotator, A);
    long b = annotators.said(annotator, B);
    long ties = annotators.said(annotator, TIE);
    long others = agreements[annotator * AGREEMENT_SUMS + 1];
    Double agreement =
        others == 0 ? null : (double) agreements[annotator * AGREEMENT_SUMS] / others;
    Double medianSeconds = times.medianSeconds(annotator);
    Position position = position(annotator);
    String spam = spamReason(annotator, position);
    Right right = estimated ? Right.among(counts, annotator * CELLS) : null;
    WilsonInterval interval = estimated ? right.interval(crowdAccuracy) : null;
    return RowFactory.create(
        annotators.name(annotator),
        (int) (a + b + ties),
        estimated ? right.share(crowdAccuracy) : null,
        estimated ? interval.low() : null,
        estimated ? interval.high() : null,
        estimated ? weight(annotator) : null,
        estimated ? confusion(annotator) : null,
        agreement,
        position.bias,
        position.z,
        (double) ties / (a + b + ties),
        medianSeconds,
        (int) agreements[annotator * AGREEMENT_SUMS + 2],
        spam != null,
        spam);
  }

  /** How much more often than b the displayed a is chosen when it is wrong; null if not known. */
  private record Position(Double bias, Double z) {}

  private Position position(int annotator) {
    if (!estimated || !annotators.displayRecorded()) {
      return new Position(null, null);
    }
    int base = annotator * CELLS;
    double trueA = (counts[base] + counts[base + B] + counts[base + TIE]) / UNIT;
    int rowB = base + CLASSES;
    double trueB = (counts[rowB] + counts[rowB + B] + counts[rowB + TIE]) / UNIT;
    if (trueA == 0 || trueB == 0) {
      return new Position(null, null);
    }
    double wronglyA = counts[rowB] / UNIT;
    double wronglyB = counts[base + B] / UNIT;
    double bias = wronglyA / trueB - wronglyB / trueA;
    double pooled = (wronglyA + wronglyB) / (trueA + trueB);
    double variance = pooled * (1 - pooled) * (1 / trueA + 1 / trueB);
    return new Position(bias, variance > 0 ? bias / Math.sqrt(variance) : 0);
  }

  /** The informedness of decided votes: 0 for one who guesses, 1 for one who is always right. */
  private double weight(int annotator) {
    Right decided = Right.amongDecided(counts, annotator * CELLS);
    return Math.max(0, 2 * decided.share(crowdDecidedAccuracy) - 1);
  }

  private double[][] confusion(int annotator) {
    double[][] rows = new double[CLASSES][CLASSES];
    for (int row = 0; row < CLASSES; row++) {
      System.arraycopy(confusions, annotator * CELLS + row * CLASSES, rows[row], 0, CLASSES);
    }
    return rows;
  }

  /** The codes of what speaks against an annotator, joined by commas; null if nothing does. */
  private String spamReason(int annotator, Position position) {
    List<String> reasons = new ArrayList<>();
    if (alwaysSameAnswer(annotator)) {
      reasons.add("always_same_answer");
    }
    if (position.z != null
        && Math.abs(position.z) >= POSITION_Z
        && Math.abs(position.bias) >= POSITION_BIAS) {
      reasons.add("position_bias");
    }
    if (estimated) {
      Right decided = Right.amongDecided(counts, annotator * CELLS);
      double high = decided.interval(crowdDecidedAccuracy).high();
      if (decided.votes >= ACCURACY_VOTES && high < RANDOM_ACCURACY) {
        reasons.add(high < ADVERSARIAL_ACCURACY ? "adversarial" : "random");
      }
    }
    if (times.count(annotator) >= FAST_VOTES && times.medianSeconds(annotator) < FAST_SECONDS) {
      reasons.add("too_fast");
    }
    return reasons.isEmpty() ? null : String.join(",", reasons);
  }

  private boolean alwaysSameAnswer(int annotator) {
    long a = annotators.said(annotator, A);
    long b = annotators.said(annotator, B);
    long ties = annotators.said(annotator, TIE);
    boolean oneSided = a + b >= SAME_ANSWER_VOTES && Math.max(a, b) >= SAME_ANSWER_SHARE * (a + b);
    boolean onlyTies = ties >= SAME_ANSWER_VOTES && ties >= SAME_ANSWER_SHARE * (a + b + ties);
    return onlyTies || (oneSided && annotators.displayRecorded());
  }
}
