package io.github.sparkrlhf.reward;

import java.util.ArrayDeque;
import java.util.Deque;
import java.util.Iterator;

/**
 * The limited-memory quasi-Newton method of Liu and Nocedal (1989) for smooth, strictly convex
 * functions: two-loop recursion over the last {@value #MEMORY} steps, backtracking until the
 * decrease is sufficient (Armijo).
 */
final class Lbfgs {
  private static final int MEMORY = 10;
  private static final double SUFFICIENT = 1e-4;
  private static final int MOST_HALVINGS = 40;

  /** A function to minimise. */
  interface Objective {
    /** The value at a point; writes the gradient. */
    double at(double[] point, double[] gradient);
  }

  /** A step, the change of the gradient along it, and 1 / (step · change). */
  private record Step(double[] step, double[] change, double inverse) {}

  private Lbfgs() {}

  /**
   * The minimum, from 0.
   *
   * @param tolerance ends when the gradient's length is at most this times the length of the first
   *     one
   */
  static double[] minimise(Objective objective, int size, int maxIterations, double tolerance) {
    double[] point = new double[size];
    double[] gradient = new double[size];
    double value = objective.at(point, gradient);
    double enough = tolerance * Math.sqrt(dot(gradient, gradient));
    Deque<Step> steps = new ArrayDeque<>();
    for (int iteration = 0; iteration < maxIterations; iteration++) {
      if (Math.sqrt(dot(gradient, gradient)) <= enough) {
        break;
      }
      double[] direction = direction(gradient, steps);
      double slope = dot(direction, gradient);
      double length = 1;
      double[] next = new double[size];
      double[] nextGradient = new double[size];
      double nextValue = Double.POSITIVE_INFINITY;
      int halvings = 0;
      while (!(nextValue <= value + SUFFICIENT * length * slope) && halvings <= MOST_HALVINGS) {
        length = halvings == 0 ? 1 : length / 2;
        for (int i = 0; i < size; i++) {
          next[i] = point[i] + length * direction[i];
        }
        nextValue = objective.at(next, nextGradient);
        halvings++;
      }
      if (!(nextValue < value)) {
        // As low as numbers can tell.
        break;
      }
      remember(steps, point, next, gradient, nextGradient);
      point = next;
      gradient = nextGradient;
      value = nextValue;
    }
    return point;
  }

  private static void remember(
      Deque<Step> steps, double[] point, double[] next, double[] gradient, double[] nextGradient) {
    double[] step = new double[point.length];
    double[] change = new double[point.length];
    for (int i = 0; i < point.length; i++) {
      step[i] = next[i] - point[i];
      change[i] = nextGradient[i] - gradient[i];
    }
    double curvature = dot(step, change);
    if (curvature > 0) {
      steps.addFirst(new Step(step, change, 1 / curvature));
      if (steps.size() > MEMORY) {
        steps.removeLast();
      }
    }
  }

  /** Minus the approximate inverse Hessian times the gradient. */
  private static double[] direction(double[] gradient, Deque<Step> steps) {
    double[] direction = gradient.clone();
    double[] shares = new double[steps.size()];
    int newest = 0;
    for (Step step : steps) {
      shares[newest] = step.inverse() * dot(step.step(), direction);
      add(direction, -shares[newest++], step.change());
    }
    Step last = steps.peekFirst();
    double scale =
        last == null
            ? 1 / Math.max(1, Math.sqrt(dot(gradient, gradient)))
            : 1 / (last.inverse() * dot(last.change(), last.change()));
    for (int i = 0; i < direction.length; i++) {
      direction[i] *= scale;
    }
    Iterator<Step> oldestFirst = steps.descendingIterator();
    for (int i = steps.size() - 1; i >= 0; i--) {
      Step step = oldestFirst.next();
      add(direction, shares[i] - step.inverse() * dot(step.change(), direction), step.step());
    }
    for (int i = 0; i < direction.length; i++) {
      direction[i] = -direction[i];
    }
    return direction;
  }

  private static double dot(double[] a, double[] b) {
    double sum = 0;
    for (int i = 0; i < a.length; i++) {
      sum += a[i] * b[i];
    }
    return sum;
  }

  private static void add(double[] target, double times, double[] vector) {
    for (int i = 0; i < target.length; i++) {
      target[i] += times * vector[i];
    }
  }
}
