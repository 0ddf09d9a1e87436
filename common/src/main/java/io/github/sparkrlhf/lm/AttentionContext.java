package io.github.sparkrlhf.lm;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.types.DataType;
import ai.djl.ndarray.types.Shape;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.stream.IntStream;

/**
 * What all layers of one forward pass share: positions, rotary tables, the mask and scalar
 * constants. Masks and positions are built from lengths, never from token ids.
 */
final class AttentionContext {
  // Large enough that exp() gives exactly 0 and small enough that sums stay finite.
  private static final float MASKED = -1e9f;

  private final NDArray ids;
  private final NDArray cosine;
  private final NDArray sine;
  private final NDArray mask;
  private final NDArray normEpsilon;
  private final NDArray last;

  private AttentionContext(
      NDManager manager, TransformerConfig config, int[] positions, Shape shape, NDArray mask) {
    int size = config.headSize();
    int half = size / 2;
    float[] cosines = new float[positions.length * size];
    float[] sines = new float[positions.length * size];
    int longest = Arrays.stream(positions).max().orElse(0) + 1;
    float[] inverseFrequency = config.ropeScaling().inverseFrequencies(config, longest);
    for (int p = 0; p < positions.length; p++) {
      for (int i = 0; i < half; i++) {
        float angle = positions[p] * inverseFrequency[i];
        int first = p * size + i;
        cosines[first] = (float) Math.cos(angle);
        cosines[first + half] = cosines[first];
        sines[first + half] = (float) Math.sin(angle);
        sines[first] = -sines[first + half];
      }
    }
    Shape table = new Shape(shape.get(0), shape.get(1), 1, size);
    this.ids = manager.create(Arrays.stream(positions).asLongStream().toArray(), shape);
    this.cosine = array(manager, cosines, table);
    this.sine = array(manager, sines, table);
    this.mask = mask;
    this.normEpsilon = Scalars.of(manager, (float) config.normEpsilon());
    this.last = null;
  }

  private AttentionContext(AttentionContext all, NDArray mask, NDArray last) {
    this.ids = all.ids;
    this.cosine = all.cosine;
    this.sine = all.sine;
    this.mask = mask;
    this.normEpsilon = all.normEpsilon;
    this.last = last;
  }

  /**
   * Right-padded rows: column t stands for position t, and no position sees a later one, so padding
   * on the right is never seen by real tokens.
   */
  static AttentionContext causal(NDManager manager, TransformerConfig config, long time) {
    int[] positions = IntStream.range(0, Math.toIntExact(time)).toArray();
    return new AttentionContext(manager, config, positions, new Shape(1, time), null);
  }

  /**
   * One new position per row, which sees all earlier ones of its row.
   *
   * @param positions of the new tokens, from 0
   */
  static AttentionContext step(NDManager manager, TransformerConfig config, int[] positions) {
    int keys = Arrays.stream(positions).max().orElseThrow() + 1;
    NDArray mask = mask(manager, positions, keys);
    return new AttentionContext(manager, config, positions, new Shape(positions.length, 1), mask);
  }

  /**
   * The same rows for a layer of which only the output at the last position of each row is wanted.
   *
   * @param positions the last one of each row, from 0
   */
  AttentionContext atLast(NDManager manager, int[] positions) {
    int time = Math.toIntExact(ids.getShape().get(1));
    long[] places = new long[positions.length];
    Arrays.setAll(places, row -> (long) row * time + positions[row]);
    NDArray indices = manager.create(places, new Shape(positions.length, 1));
    return new AttentionContext(this, mask(manager, positions, time), indices);
  }

  /** Each row sees its positions up to the given one, {@code [rows, 1, 1, keys]}. */
  private static NDArray mask(NDManager manager, int[] positions, int keys) {
    float[] mask = new float[positions.length * keys];
    for (int row = 0; row < positions.length; row++) {
      Arrays.fill(mask, row * keys + positions[row] + 1, (row + 1) * keys, MASKED);
    }
    return array(manager, mask, new Shape(positions.length, 1, 1, keys));
  }

  /** Whether a layer gives its output at the last position of each row only. */
  boolean onlyLast() {
    return last != null;
  }

  /**
   * Of numbers at all positions those at which the layer gives an output.
   *
   * @param values {@code [rows, time, ...]}
   * @return the same array, or {@code [rows, 1, ...]} if {@link #onlyLast}
   */
  NDArray wanted(NDArray values) {
    if (last == null) {
      return values;
    }
    Shape shape = values.getShape();
    long positions = shape.get(0) * shape.get(1);
    NDArray flat = values.reshape(positions, shape.size() / positions);
    return Rows.select(flat, last).reshape(new Shape(shape.get(0), 1).addAll(shape.slice(2)));
  }

  /** The positions of the queries, int64 {@code [rows or 1, time]}. */
  NDArray ids() {
    return ids;
  }

  /** Cosines, {@code [rows or 1, time, 1, head size]}, both halves the same. */
  NDArray cosine() {
    return cosine;
  }

  /** Sines like {@link #cosine}, the first half negated. */
  NDArray sine() {
    return sine;
  }

  /**
   * Additive mask {@code [rows, 1, 1, keys]} of a step or of last positions; null where attention
   * is causal.
   */
  NDArray mask() {
    return mask;
  }

  /** The scalar ε of the norms. */
  NDArray normEpsilon() {
    return normEpsilon;
  }

  private static NDArray array(NDManager manager, float[] values, Shape shape) {
    ByteBuffer bytes =
        ByteBuffer.allocateDirect(values.length * Float.BYTES).order(ByteOrder.nativeOrder());
    bytes.asFloatBuffer().put(values);
    return manager.create(bytes, shape, DataType.FLOAT32);
  }
}
