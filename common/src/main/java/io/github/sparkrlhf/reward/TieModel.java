package io.github.sparkrlhf.reward;

import java.io.Serializable;
import java.util.Locale;

/**
 * How probable it is that people call two responses equally good, given the difference d of their
 * rewards. Both models are Bradley and Terry's where nobody ties.
 *
 * <ul>
 *   <li>Rao and Kupper (1967): one is preferred only if it leads by a threshold η &gt; 0, so
 *       P(first) = σ(d − η), P(second) = σ(−d − η), and the rest is a tie.
 *   <li>Davidson (1970): P(first) : P(second) : P(tie) = exp(d/2) : exp(−d/2) : ν.
 * </ul>
 *
 * @param rule which model
 * @param parameter η or ν, above 0
 */
public record TieModel(Rule rule, double parameter) implements Serializable {
  private static final int MAX_ITERATIONS = 100;
  private static final double SMALLEST = 1e-9;

  /** The models. */
  public enum Rule {
    /** A threshold on the difference. */
    RAO_KUPPER,
    /** A tie as a third outcome of constant strength. */
    DAVIDSON;

    /** The name on the command line and in metrics, such as {@code rao-kupper}. */
    @Override
    public String toString() {
      return name().toLowerCase(Locale.ROOT).replace('_', '-');
    }
  }

  /** Checks the parameter. */
  public TieModel {
    if (!(parameter > 0) || !Double.isFinite(parameter)) {
      throw new IllegalArgumentException("the parameter of a tie model must be above 0");
    }
  }

  /**
   * What people said about some pairs, and what a model says.
   *
   * @param difference reward of the first minus reward of the second, [pairs]
   * @param first probability that the first is preferred, [pairs]
   * @param tie probability of a tie, [pairs]; the rest is that of the second
   */
  public record Outcomes(double[] difference, double[] first, double[] tie) {
    double second(int pair) {
      return Math.max(0, 1 - first[pair] - tie[pair]);
    }

    /** The mean probability of a tie. */
    public double tieShare() {
      double sum = 0;
      for (double each : tie) {
        sum += each;
      }
      return sum / tie.length;
    }
  }

  /**
   * A tie model and the scale that the rewards need for it.
   *
   * @param model the model
   * @param scale what differences are multiplied by
   */
  public record Fit(TieModel model, double scale) {
    /** The mean cross entropy between outcomes and model, in nats per pair. */
    public double logLoss(Outcomes outcomes) {
      double sum = 0;
      for (int i = 0; i < outcomes.difference().length; i++) {
        double[] logs = model.logProbabilities(scale * outcomes.difference()[i]);
        sum -=
            outcomes.first()[i] * logs[0]
                + outcomes.second(i) * logs[1]
                + outcomes.tie()[i] * logs[2];
      }
      return sum / outcomes.difference().length;
    }
  }

  /**
   * The model that fits a share of ties if all responses are equally good.
   *
   * @param tieShare in (0, 1)
   */
  public static TieModel ofShare(Rule rule, double tieShare) {
    return new TieModel(
        rule,
        rule == Rule.RAO_KUPPER
            ? Math.log((1 + tieShare) / (1 - tieShare))
            : 2 * tieShare / (1 - tieShare));
  }

  /**
   * The logarithms of the probabilities that the first is preferred, that the second is, and of a
   * tie.
   *
   * @param difference of the rewards
   */
  public double[] logProbabilities(double difference) {
    if (rule == Rule.RAO_KUPPER) {
      double first = -softplus(parameter - difference);
      double second = -softplus(parameter + difference);
      return new double[] {first, second, first + second + Math.log(Math.expm1(2 * parameter))};
    }
    double half = difference / 2;
    double size = Math.abs(half);
    double total = size + Math.log(1 + Math.exp(-2 * size) + parameter * Math.exp(-size));
    return new double[] {half - total, -half - total, Math.log(parameter) - total};
  }

  /**
   * The model and the scale under which the outcomes are most probable, by Newton's method: the
   * negative log-likelihood is convex in the scale and in η, or ln ν.
   *
   * @param outcomes with a share of ties above 0 and below 1
   */
  public static Fit fit(Rule rule, Outcomes outcomes) {
    Fit best = new Fit(ofShare(rule, outcomes.tieShare()), 1);
    double loss = best.logLoss(outcomes);
    for (int iteration = 0; iteration < MAX_ITERATIONS; iteration++) {
      double[] step = newtonStep(best, outcomes);
      double size = 1;
      Fit next = moved(best, step, size);
      // A full step may overshoot where the loss is far from quadratic.
      while (size > SMALLEST && !(next != null && next.logLoss(outcomes) < loss)) {
        size /= 2;
        next = moved(best, step, size);
      }
      if (size <= SMALLEST) {
        return best;
      }
      best = next;
      loss = best.logLoss(outcomes);
    }
    return best;
  }

  /** The fit after a step in (scale, η or ln ν); null where there is no such model. */
  private static Fit moved(Fit fit, double[] step, double size) {
    double parameter = fit.model().parameter();
    double moved =
        fit.model().rule() == Rule.RAO_KUPPER
            ? parameter + size * step[1]
            : parameter * Math.exp(size * step[1]);
    return moved > SMALLEST && Double.isFinite(moved)
        ? new Fit(new TieModel(fit.model().rule(), moved), fit.scale() + size * step[0])
        : null;
  }

  /** −H⁻¹·g of the summed loss in (scale, η or ln ν). */
  private static double[] newtonStep(Fit fit, Outcomes outcomes) {
    double[] slopes = new double[2];
    // A little on the diagonal, for rewards that are all equal.
    double[] curvatures = {SMALLEST, 0, SMALLEST};
    for (int i = 0; i < outcomes.difference().length; i++) {
      if (fit.model().rule() == Rule.RAO_KUPPER) {
        fit.model().addRaoKupper(fit.scale(), outcomes, i, slopes, curvatures);
      } else {
        fit.model().addDavidson(fit.scale(), outcomes, i, slopes, curvatures);
      }
    }
    double determinant = curvatures[0] * curvatures[2] - curvatures[1] * curvatures[1];
    return new double[] {
      -(curvatures[2] * slopes[0] - curvatures[1] * slopes[1]) / determinant,
      -(curvatures[0] * slopes[1] - curvatures[1] * slopes[0]) / determinant
    };
  }

  private void addRaoKupper(
      double scale, Outcomes outcomes, int pair, double[] slopes, double[] curvatures) {
    double d = outcomes.difference()[pair];
    double tie = outcomes.tie()[pair];
    double first = outcomes.first()[pair] + tie;
    double second = outcomes.second(pair) + tie;
    double x = sigmoid(parameter - scale * d);
    double y = sigmoid(parameter + scale * d);
    double grown = Math.expm1(2 * parameter);
    slopes[0] += d * (second * y - first * x);
    slopes[1] += first * x + second * y - 2 * tie * (1 + 1 / grown);
    double curvedX = first * x * (1 - x);
    double curvedY = second * y * (1 - y);
    curvatures[0] += d * d * (curvedX + curvedY);
    curvatures[1] += d * (curvedY - curvedX);
    curvatures[2] += curvedX + curvedY + 4 * tie * (1 + 1 / grown) / grown;
  }

  private void addDavidson(
      double scale, Outcomes outcomes, int pair, double[] slopes, double[] curvatures) {
    double half = outcomes.difference()[pair] / 2;
    double[] logs = logProbabilities(scale * outcomes.difference()[pair]);
    double lead = Math.exp(logs[0]) - Math.exp(logs[1]);
    double tie = Math.exp(logs[2]);
    slopes[0] += half * (lead - (outcomes.first()[pair] - outcomes.second(pair)));
    slopes[1] += tie - outcomes.tie()[pair];
    curvatures[0] += half * half * (1 - tie - lead * lead);
    curvatures[1] -= half * tie * lead;
    curvatures[2] += tie * (1 - tie);
  }

  private static double softplus(double x) {
    return Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
  }

  private static double sigmoid(double x) {
    return Math.exp(-softplus(-x));
  }
}
