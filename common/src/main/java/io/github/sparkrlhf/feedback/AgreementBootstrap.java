package io.github.sparkrlhf.feedback;

import io.github.sparkrlhf.spark.CounterRandom;
import java.util.Arrays;
import java.util.function.ToDoubleFunction;
import java.util.stream.IntStream;

/**
 * Percentile bootstrap over units (Efron and Tibshirani, 1993, section 13.3). Each unit is drawn a
 * Poisson(1) number of times instead of the units a fixed number of times (Chamandy et al., 2012);
 * n units with the same vector are hence drawn Poisson(n) times together, and the cost depends on
 * the number of distinct vectors only.
 *
 * <p>The draws are keyed by the vector: a group with the same vectors has the same intervals,
 * whatever else there is.
 */
final class AgreementBootstrap {
  private static final int REPLICATES = 1000;
  private static final int MIN_REPLICATES = 100;

  /** Entries of vectors, over all replicates, that are looked at at most for full precision. */
  private static final long MAX_ENTRIES = 1_000_000_000L;

  /** From this mean on a Poisson number is a rounded normal one. */
  private static final int LARGE_MEAN = 100;

  private static final double TAIL = 0.025;

  /**
   * The 95 % interval of a coefficient.
   *
   * @param low the lower end; NaN if it is not known
   * @param high the upper end; NaN if it is not known
   */
  record Interval(double low, double high) {}

  private final AgreementCoefficients[] replicates;

  /**
   * Draws the replicates: 1,000 of them, fewer but at least 100 if the vectors have more than a
   * million values together.
   */
  AgreementBootstrap(CountVectors vectors, long seed) {
    CounterRandom random = new CounterRandom(seed, "agreement bootstrap");
    long[] units = vectors.units();
    long[] keys = IntStream.range(0, units.length).mapToLong(vectors::key).toArray();
    double[] unseen = Arrays.stream(units).mapToDouble(n -> StrictMath.exp(-n)).toArray();
    this.replicates =
        IntStream.range(0, replicates(vectors.entries()))
            .parallel()
            .mapToObj(
                replicate -> {
                  long[] drawn = new long[units.length];
                  for (int v = 0; v < drawn.length; v++) {
                    drawn[v] = poisson(units[v], unseen[v], random, replicate, keys[v]);
                  }
                  return AgreementCoefficients.of(vectors, drawn);
                })
            .toArray(AgreementCoefficients[]::new);
  }

  /** The interval of a coefficient, over the replicates for which it is defined. */
  Interval interval(ToDoubleFunction<AgreementCoefficients> coefficient) {
    double[] sorted =
        Arrays.stream(replicates)
            .mapToDouble(coefficient)
            .filter(value -> !Double.isNaN(value))
            .sorted()
            .toArray();
    int rank = Math.max(1, (int) ((sorted.length + 1) * TAIL));
    return sorted.length == 0
        ? new Interval(Double.NaN, Double.NaN)
        : new Interval(sorted[rank - 1], sorted[sorted.length - rank]);
  }

  private static int replicates(int entries) {
    long affordable = MAX_ENTRIES / Math.max(1, entries);
    return (int) Math.max(MIN_REPLICATES, Math.min(REPLICATES, affordable));
  }

  /** A Poisson number by inversion, as in Devroye (1986), section X.3.3. */
  static long poisson(long mean, double unseen, CounterRandom random, long... counters) {
    if (mean >= LARGE_MEAN) {
      double normal = mean + Math.sqrt((double) mean) * random.gaussian(counters);
      return Math.max(0, Math.round(normal));
    }
    double uniform = random.uniform(counters);
    double probability = unseen;
    double cumulative = probability;
    long number = 0;
    while (uniform > cumulative && probability > 0) {
      number++;
      probability *= (double) mean / number;
      cumulative += probability;
    }
    return number;
  }
}
