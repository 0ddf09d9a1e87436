package io.github.sparkrlhf.training;

import java.io.Serializable;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.Deque;
import java.util.List;
import java.util.function.BinaryOperator;

/**
 * The sum over lanes along a fixed binary tree: lane 2i + lane 2i+1, then pairs of pairs, up to the
 * root. Floating-point addition is not associative; because the tree depends on lane numbers only,
 * the sum has the same bits however lanes are grouped into tasks.
 *
 * <p>A task pushes its aligned power-of-two range of lanes in order; the driver pushes the tasks'
 * sums. Finished pairs collapse at once, as carries do in a binary counter, so that no more than
 * log₂(lanes) + 1 arrays are in use; the others come back through {@link #takeSpare}. Additions are
 * in place: the tree owns what is pushed. A null stands for a lane without rows, and null + x is x
 * to the bit.
 *
 * <p>Not thread-safe; one instance per sum.
 *
 * @param <A> the array type
 */
public final class GradientTree<A extends Serializable> {
  /**
   * The sum of an aligned range of lanes.
   *
   * @param firstLane a multiple of {@code lanes}
   * @param lanes a power of two
   * @param sum null if none of the lanes contributed
   */
  public record Subtree<A extends Serializable>(int firstLane, int lanes, A sum)
      implements Serializable {
    /** Checks the alignment. */
    public Subtree {
      if (lanes <= 0 || Integer.bitCount(lanes) != 1 || firstLane < 0 || firstLane % lanes != 0) {
        throw new IllegalArgumentException(
            "no subtree consists of " + lanes + " lanes from lane " + firstLane);
      }
    }

    /** The same lanes with the sum in another form. */
    <B extends Serializable> Subtree<B> withSum(B other) {
      return new Subtree<>(firstLane, lanes, other);
    }
  }

  private final BinaryOperator<A> addToLeft;
  private final Deque<Subtree<A>> open = new ArrayDeque<>();
  private final Deque<A> spares = new ArrayDeque<>();
  private int nextLane;

  private GradientTree(int firstLane, BinaryOperator<A> addToLeft) {
    this.nextLane = firstLane;
    this.addToLeft = addToLeft;
  }

  /**
   * A sum of gradients.
   *
   * @param firstLane the number of the first lane that will be pushed
   */
  public static GradientTree<float[]> ofFloats(int firstLane) {
    return new GradientTree<>(
        firstLane,
        (left, right) -> {
          requireSameLength(left.length, right.length);
          for (int i = 0; i < left.length; i++) {
            left[i] += right[i];
          }
          return left;
        });
  }

  /**
   * A sum of metrics.
   *
   * @param firstLane the number of the first lane that will be pushed
   */
  public static GradientTree<double[]> ofDoubles(int firstLane) {
    return new GradientTree<>(
        firstLane,
        (left, right) -> {
          requireSameLength(left.length, right.length);
          for (int i = 0; i < left.length; i++) {
            left[i] += right[i];
          }
          return left;
        });
  }

  private static void requireSameLength(int left, int right) {
    if (left != right) {
      throw new IllegalArgumentException("cannot add " + right + " numbers to " + left);
    }
  }

  /** Adds the next lane; null if it has no rows. The tree takes ownership of the array. */
  public void push(A lane) {
    push(new Subtree<>(nextLane, 1, lane));
  }

  /** Adds the next subtree, which must start at the lane after the last one pushed. */
  public void push(Subtree<A> subtree) {
    if (subtree.firstLane() != nextLane) {
      throw new IllegalArgumentException(
          "lane " + nextLane + " is missing before lane " + subtree.firstLane());
    }
    nextLane = Math.addExact(nextLane, subtree.lanes());
    Subtree<A> right = subtree;
    while (!open.isEmpty() && areSiblings(open.peek(), right)) {
      Subtree<A> left = open.pop();
      right = new Subtree<>(left.firstLane(), 2 * left.lanes(), add(left.sum(), right.sum()));
    }
    open.push(right);
  }

  private static boolean areSiblings(Subtree<?> left, Subtree<?> right) {
    return left.lanes() == right.lanes() && left.firstLane() % (2 * left.lanes()) == 0;
  }

  private A add(A left, A right) {
    if (left == null) {
      return right;
    }
    if (right == null) {
      return left;
    }
    A sum = addToLeft.apply(left, right);
    spares.push(right);
    return sum;
  }

  /**
   * An array that the tree no longer needs, with stale content, for the caller to fill and push
   * again; null if there is none.
   */
  public A takeSpare() {
    return spares.poll();
  }

  /**
   * The one subtree that all lanes pushed so far make up; its sum is null if no lane contributed.
   *
   * @throws IllegalStateException if they do not make up exactly one
   */
  public Subtree<A> result() {
    if (open.size() != 1) {
      throw new IllegalStateException("the lanes form " + open.size() + " subtrees instead of one");
    }
    return open.peek();
  }

  /**
   * Finishes the tree from the sums of tasks, whatever order they come in.
   *
   * @param lanes the number of all lanes, a power of two
   * @param subtrees together all lanes from 0 on, each once; their arrays are overwritten
   * @return the sum of all lanes; null if no lane contributed
   * @throws IllegalArgumentException if a lane is missing or there twice
   */
  public static float[] sumOfFloats(int lanes, List<Subtree<float[]>> subtrees) {
    return sum(lanes, ofFloats(0), subtrees);
  }

  /** {@link #sumOfFloats} for metrics. */
  public static double[] sumOfDoubles(int lanes, List<Subtree<double[]>> subtrees) {
    return sum(lanes, ofDoubles(0), subtrees);
  }

  private static <A extends Serializable> A sum(
      int lanes, GradientTree<A> tree, List<Subtree<A>> subtrees) {
    List<Subtree<A>> sorted = new ArrayList<>(subtrees);
    sorted.sort(Comparator.comparingInt(Subtree::firstLane));
    sorted.forEach(tree::push);
    if (tree.nextLane != lanes) {
      throw new IllegalArgumentException(
          "the sums end before lane " + tree.nextLane + " of " + lanes + " lanes");
    }
    return tree.result().sum();
  }
}
