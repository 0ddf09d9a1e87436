package io.github.sparkrlhf.reward;

import io.github.sparkrlhf.spark.CounterRandom;
import io.github.sparkrlhf.spark.StableHash;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;

/**
 * Bootstrap over pairs or prompts (Efron and Tibshirani, 1993). Each is drawn a Poisson(1) number
 * of times (Chamandy et al., 2012), which depends on the seed, its id and the replicate: their
 * order does not matter, and two models are measured on the same draws.
 */
public final class Bootstrap {
  private static final int MOST_REPLICATES = 1000;
  private static final int FEWEST_REPLICATES = 100;

  /** Draws that are made for full precision at most. */
  private static final int MAX_DRAWS = 10_000_000;

  private static final double TAIL = 0.025;

  /** P(a Poisson(1) number is at most k), for k from 0 until a double can tell it from 1. */
  private static final double[] CUMULATIVE = cumulative();

  private final double[][] replicates;

  /**
   * Draws the replicates of some statistics: 1,000, fewer but at least 100 for more than 10,000
   * ids.
   *
   * @param ids of what is drawn
   */
  public Bootstrap(List<String> ids, List<Statistic> statistics, long seed) {
    CounterRandom random = new CounterRandom(seed, "reward evaluation bootstrap");
    long[] keys = ids.stream().mapToLong(StableHash::of).toArray();
    int number =
        Math.max(
            FEWEST_REPLICATES, Math.min(MOST_REPLICATES, MAX_DRAWS / Math.max(1, keys.length)));
    this.replicates =
        IntStream.range(0, number)
            .parallel()
            .mapToObj(
                replicate -> {
                  int[] times = new int[keys.length];
                  for (int i = 0; i < times.length; i++) {
                    times[i] = poisson(random.uniform(replicate, keys[i]));
                  }
                  return statistics.stream().mapToDouble(each -> each.of(times)).toArray();
                })
            .toArray(double[][]::new);
  }

  /**
   * The lower and upper end of the 95 % percentile interval of a statistic, over the replicates for
   * which it is defined; NaN if there is none.
   */
  public double[] interval(int statistic) {
    double[] sorted =
        Arrays.stream(replicates)
            .mapToDouble(values -> values[statistic])
            .filter(value -> !Double.isNaN(value))
            .sorted()
            .toArray();
    if (sorted.length == 0) {
      return new double[] {Double.NaN, Double.NaN};
    }
    int rank = Math.max(1, (int) ((sorted.length + 1) * TAIL));
    return new double[] {sorted[rank - 1], sorted[sorted.length - rank]};
  }

  private static int poisson(double uniform) {
    int number = 0;
    while (number < CUMULATIVE.length && uniform > CUMULATIVE[number]) {
      number++;
    }
    return number;
  }

  private static double[] cumulative() {
    double[] cumulative = new double[20];
    double probability = StrictMath.exp(-1);
    double sum = 0;
    for (int k = 0; k < cumulative.length; k++) {
      sum += probability;
      cumulative[k] = sum;
      probability /= k + 1;
    }
    return cumulative;
  }
}
