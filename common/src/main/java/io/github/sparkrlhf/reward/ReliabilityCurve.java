package io.github.sparkrlhf.reward;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;

/**
 * What a model says against what people say. A pair counts once, from the side of the response that
 * the model prefers: its confidence is the model's probability of that response, in [½, 1], and
 * what is observed is people's. Neither the order of pairs nor that of the responses in a pair
 * matters.
 */
public final class ReliabilityCurve {
  /** Bins of a curve, as in Guo et al. (2017). */
  public static final int BINS = 15;

  /**
   * Pairs of similar confidence.
   *
   * @param n how many pairs
   * @param predicted their mean confidence
   * @param observed the mean probability that people prefer what the model prefers
   */
  public record Bin(long n, double predicted, double observed) {}

  private final int[] binOf;
  private final double[] confidence;
  private final double[] observed;
  private final int[] order;

  private ReliabilityCurve(double[] confidence, double[] observed, int[] order, int[] binOf) {
    this.confidence = confidence;
    this.observed = observed;
    this.order = order;
    this.binOf = binOf;
  }

  /**
   * A curve whose {@value #BINS} bins hold equally many pairs, as nearly as pairs of the same
   * confidence, which stay together, let them.
   *
   * @param differences score of the first response minus score of the second
   * @param probabilities that people prefer the first response
   */
  public static ReliabilityCurve equalMass(
      PairProbability model, double[] differences, double[] probabilities) {
    double[] confidence = confidence(model, differences);
    double[] observed = observed(differences, probabilities);
    int[] order = order(confidence, observed);
    int n = confidence.length;
    int[] binOf = new int[n];
    for (int start = 0; start < n; ) {
      int end = start + 1;
      while (end < n && confidence[order[end]] == confidence[order[start]]) {
        end++;
      }
      int bin = (int) ((long) BINS * (start + end) / 2 / n);
      for (int i = start; i < end; i++) {
        binOf[order[i]] = Math.min(BINS - 1, bin);
      }
      start = end;
    }
    return new ReliabilityCurve(confidence, observed, order, binOf);
  }

  /** A curve whose {@value #BINS} bins are equally wide parts of [½, 1]. */
  public static ReliabilityCurve equalWidth(
      PairProbability model, double[] differences, double[] probabilities) {
    double[] confidence = confidence(model, differences);
    double[] observed = observed(differences, probabilities);
    int[] binOf =
        Arrays.stream(confidence)
            .mapToInt(c -> Math.min(BINS - 1, (int) ((c - 0.5) * 2 * BINS)))
            .toArray();
    return new ReliabilityCurve(confidence, observed, order(confidence, observed), binOf);
  }

  /** The bins that have pairs, by ascending confidence. */
  public List<Bin> bins() {
    double[][] sums = sums(null);
    List<Bin> bins = new ArrayList<>();
    for (double[] bin : sums) {
      if (bin[0] > 0) {
        bins.add(new Bin((long) bin[0], bin[1] / bin[0], bin[2] / bin[0]));
      }
    }
    return bins;
  }

  /**
   * The expected calibration error (Naeini et al., 2015): the mean over pairs of the distance
   * between predicted and observed in their bin. NaN without pairs.
   */
  public double expectedCalibrationError() {
    return expectedCalibrationError(null);
  }

  /**
   * The error where each pair counts some number of times; the bins stay as they are.
   *
   * @param times for each pair how often it counts; null for once
   */
  double expectedCalibrationError(int[] times) {
    double distance = 0;
    double n = 0;
    for (double[] bin : sums(times)) {
      distance += Math.abs(bin[1] - bin[2]);
      n += bin[0];
    }
    return distance / n;
  }

  /** For each bin the pairs, the sum of their confidence and of what was observed. */
  private double[][] sums(int[] times) {
    double[][] sums = new double[BINS][3];
    for (int pair : order) {
      int count = times == null ? 1 : times[pair];
      double[] bin = sums[binOf[pair]];
      bin[0] += count;
      bin[1] += count * confidence[pair];
      bin[2] += count * observed[pair];
    }
    return sums;
  }

  private static double[] confidence(PairProbability model, double[] differences) {
    return Arrays.stream(differences).map(d -> model.probability(Math.abs(d))).toArray();
  }

  private static double[] observed(double[] differences, double[] probabilities) {
    return IntStream.range(0, differences.length)
        .mapToDouble(i -> JudgedDifferences.forFavourite(differences[i], probabilities[i]))
        .toArray();
  }

  /** Sums in this order are the same whatever the order of the pairs. */
  private static int[] order(double[] confidence, double[] observed) {
    return IntStream.range(0, confidence.length)
        .boxed()
        .sorted(
            (a, b) -> {
              int byConfidence = Double.compare(confidence[a], confidence[b]);
              return byConfidence != 0 ? byConfidence : Double.compare(observed[a], observed[b]);
            })
        .mapToInt(Integer::intValue)
        .toArray();
  }
}
