package io.github.sparkrlhf.training;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.sparkrlhf.spark.CounterRandom;
import io.github.sparkrlhf.training.GradientTree.Subtree;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import org.junit.jupiter.api.Test;

class GradientTreeTest {
  private static final int SIZE = 5;

  @Property(tries = 300)
  void anyPartitioningIntoSubtreesGivesTheSameBits(
      @ForAll @IntRange(max = 6) int depth, @ForAll long seed) {
    int lanes = 1 << depth;
    CounterRandom random = new CounterRandom(seed, "gradient tree test");
    List<Subtree<float[]>> floats = new ArrayList<>();
    List<Subtree<double[]>> doubles = new ArrayList<>();
    partition(0, lanes, random, floats, doubles);
    Collections.shuffle(floats, new Random(seed));
    Collections.shuffle(doubles, new Random(seed));
    assertThat(GradientTree.sumOfFloats(lanes, floats)).isEqualTo(recursive(0, lanes, random));
    assertThat(GradientTree.sumOfDoubles(lanes, doubles))
        .isEqualTo(recursiveDoubles(0, lanes, random));
  }

  private static void partition(
      int first,
      int lanes,
      CounterRandom random,
      List<Subtree<float[]>> floats,
      List<Subtree<double[]>> doubles) {
    if (lanes > 1 && random.uniform(-1, first, lanes) < 0.6) {
      partition(first, lanes / 2, random, floats, doubles);
      partition(first + lanes / 2, lanes / 2, random, floats, doubles);
      return;
    }
    GradientTree<float[]> floatTask = GradientTree.ofFloats(first);
    GradientTree<double[]> doubleTask = GradientTree.ofDoubles(first);
    for (int lane = first; lane < first + lanes; lane++) {
      floatTask.push(lane(lane, random, floatTask.takeSpare()));
      doubleTask.push(doubleLane(lane, random));
    }
    assertThat(floatTask.result().firstLane()).isEqualTo(first);
    assertThat(floatTask.result().lanes()).isEqualTo(lanes);
    floats.add(floatTask.result());
    doubles.add(doubleTask.result());
  }

  /** Numbers of very different size, so that another order of additions shows; some lanes null. */
  private static float[] lane(int lane, CounterRandom random, float[] buffer) {
    if (random.uniform(lane) < 0.25) {
      return null;
    }
    float[] values = buffer == null ? new float[SIZE] : buffer;
    for (int i = 0; i < SIZE; i++) {
      values[i] = (float) (random.gaussian(lane, i) * Math.exp(5 * random.gaussian(lane, i, 1)));
    }
    return values;
  }

  private static double[] doubleLane(int lane, CounterRandom random) {
    float[] floats = lane(lane, random, null);
    if (floats == null) {
      return null;
    }
    double[] values = new double[SIZE];
    for (int i = 0; i < SIZE; i++) {
      values[i] = floats[i] / 3.0;
    }
    return values;
  }

  private static float[] recursive(int first, int lanes, CounterRandom random) {
    if (lanes == 1) {
      return lane(first, random, null);
    }
    float[] left = recursive(first, lanes / 2, random);
    float[] right = recursive(first + lanes / 2, lanes / 2, random);
    if (left == null || right == null) {
      return left == null ? right : left;
    }
    float[] sum = new float[SIZE];
    for (int i = 0; i < SIZE; i++) {
      sum[i] = left[i] + right[i];
    }
    return sum;
  }

  private static double[] recursiveDoubles(int first, int lanes, CounterRandom random) {
    if (lanes == 1) {
      return doubleLane(first, random);
    }
    double[] left = recursiveDoubles(first, lanes / 2, random);
    double[] right = recursiveDoubles(first + lanes / 2, lanes / 2, random);
    if (left == null || right == null) {
      return left == null ? right : left;
    }
    double[] sum = new double[SIZE];
    for (int i = 0; i < SIZE; i++) {
      sum[i] = left[i] + right[i];
    }
    return sum;
  }

  @Test
  void addsPairsRatherThanFromLeftToRight() {
    GradientTree<float[]> tree = GradientTree.ofFloats(0);
    // From left to right the ones vanish beside 2^24; as a pair they do not.
    for (float value : new float[] {0x1p24f, 0, 1, 1}) {
      tree.push(new float[] {value});
    }
    assertThat(tree.result().sum()).containsExactly(0x1p24f + 2);
  }

  @Test
  void nullIsNeutralToTheBit() {
    GradientTree<float[]> tree = GradientTree.ofFloats(0);
    tree.push((float[]) null);
    tree.push(new float[] {-0f});
    assertThat(Float.floatToRawIntBits(tree.result().sum()[0]))
        .isEqualTo(Float.floatToRawIntBits(-0f));
    assertThat(GradientTree.sumOfFloats(4, List.of(new Subtree<>(0, 4, null)))).isNull();
  }

  @Test
  void handsBackArraysSoThatATaskHoldsOnlyALogarithmOfThem() {
    GradientTree<float[]> tree = GradientTree.ofFloats(0);
    int allocated = 0;
    for (int lane = 0; lane < 64; lane++) {
      float[] buffer = tree.takeSpare();
      if (buffer == null) {
        buffer = new float[1];
        allocated++;
      }
      buffer[0] = 1;
      tree.push(buffer);
    }
    assertThat(tree.result().sum()).containsExactly(64);
    assertThat(allocated).isEqualTo(7);
  }

  @Test
  void refusesLanesThatAreMissingTwiceOrNotAPowerOfTwo() {
    Subtree<float[]> first = new Subtree<>(0, 2, new float[1]);
    assertThatThrownBy(
            () -> GradientTree.sumOfFloats(8, List.of(first, new Subtree<>(4, 2, new float[1]))))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("lane 2 is missing before lane 4");
    assertThatThrownBy(() -> GradientTree.sumOfFloats(4, List.of(first, first)))
        .isInstanceOf(IllegalArgumentException.class);
    assertThatThrownBy(
            () -> GradientTree.sumOfFloats(3, List.of(first, new Subtree<>(2, 1, new float[1]))))
        .isInstanceOf(IllegalStateException.class)
        .hasMessageContaining("2 subtrees instead of one");
    assertThatThrownBy(() -> GradientTree.sumOfFloats(4, List.of(first)))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("the sums end before lane 2 of 4 lanes");
    assertThatThrownBy(() -> new Subtree<>(2, 4, new float[1]))
        .isInstanceOf(IllegalArgumentException.class);
    assertThatThrownBy(() -> new Subtree<>(0, 3, new float[1]))
        .isInstanceOf(IllegalArgumentException.class);
    GradientTree<float[]> tree = GradientTree.ofFloats(0);
    tree.push(new float[1]);
    assertThatThrownBy(() -> tree.push(new float[2])).isInstanceOf(IllegalArgumentException.class);
  }
}
