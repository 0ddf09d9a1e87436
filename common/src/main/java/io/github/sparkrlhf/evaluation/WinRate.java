package io.github.sparkrlhf.evaluation;

import io.github.sparkrlhf.feedback.WilsonInterval;
import io.github.sparkrlhf.reward.Bootstrap;
import java.util.Arrays;
import java.util.List;

/** How often one policy's responses are better than another's, prompt by prompt. */
public final class WinRate {
  private static final int MOST_STEPS = 50;
  private static final double ENOUGH = 1e-10;

  /** Keeps the fit finite where one side always wins: a thousandth of a prompt's information. */
  private static final double RIDGE = 1e-3;

  /**
   * What came of one prompt.
   *
   * @param prompt its id
   * @param win share of the comparisons that the first policy wins, a tie counts one half
   * @param lengthDifference mean length of the first policy's responses minus the other's
   */
  public record Duel(String prompt, double win, double lengthDifference) {}

  /**
   * A share with its 95 % interval.
   *
   * @param value in [0, 1]
   */
  public record Rate(double value, double low, double high) {}

  private final List<Duel> duels;
  private final long seed;

  /**
   * @param duels at least one
   * @param seed of the bootstrap
   */
  public WinRate(List<Duel> duels, long seed) {
    if (duels.isEmpty()) {
      throw new IllegalArgumentException("there is no prompt to compare on");
    }
    this.duels = List.copyOf(duels);
    this.seed = seed;
  }

  /** The mean over prompts, with Wilson's interval. */
  public Rate plain() {
    double wins = duels.stream().mapToDouble(Duel::win).sum();
    WilsonInterval interval = WilsonInterval.of(Math.min(wins, duels.size()), duels.size());
    return new Rate(wins / duels.size(), interval.low(), interval.high());
  }

  /**
   * The win rate if both policies' responses were equally long (after Dubois et al., 2024): the
   * logistic regression P(win) = σ(a + b·tanh(Δ/s)) over prompts, with Δ the difference in length
   * and s its root mean square, is read at Δ = 0. Its interval is a bootstrap over prompts.
   */
  public Rate lengthControlled() {
    double square =
        duels.stream().mapToDouble(d -> d.lengthDifference() * d.lengthDifference()).sum();
    double scale = square == 0 ? 1 : Math.sqrt(square / duels.size());
    double[] x = duels.stream().mapToDouble(d -> Math.tanh(d.lengthDifference() / scale)).toArray();
    double[] y = duels.stream().mapToDouble(Duel::win).toArray();
    int[] once = new int[x.length];
    Arrays.fill(once, 1);
    double[] interval =
        new Bootstrap(
                duels.stream().map(Duel::prompt).toList(),
                List.of(times -> atEqualLength(x, y, times)),
                seed)
            .interval(0);
    return new Rate(atEqualLength(x, y, once), interval[0], interval[1]);
  }

  /** σ(a) of the fit, by Newton's method. */
  private static double atEqualLength(double[] x, double[] y, int[] times) {
    double a = 0;
    double b = 0;
    for (int step = 0; step < MOST_STEPS; step++) {
      double ga = -RIDGE * a;
      double gb = -RIDGE * b;
      double haa = RIDGE;
      double hab = 0;
      double hbb = RIDGE;
      for (int i = 0; i < x.length; i++) {
        double p = 1 / (1 + Math.exp(-(a + b * x[i])));
        double weight = times[i] * p * (1 - p);
        ga += times[i] * (y[i] - p);
        gb += times[i] * (y[i] - p) * x[i];
        haa += weight;
        hab += weight * x[i];
        hbb += weight * x[i] * x[i];
      }
      double determinant = haa * hbb - hab * hab;
      double da = (hbb * ga - hab * gb) / determinant;
      double db = (haa * gb - hab * ga) / determinant;
      // A full step from far away overshoots where almost all duels are won.
      double shorten = Math.min(1, 2 / Math.max(Math.abs(da), Math.abs(db)));
      a += shorten * da;
      b += shorten * db;
      if (Math.abs(da) + Math.abs(db) < ENOUGH) {
        break;
      }
    }
    return 1 / (1 + Math.exp(-a));
  }
}
