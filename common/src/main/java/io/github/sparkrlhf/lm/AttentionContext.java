package io.github.sparkrlhf.lm;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDList;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.types.Shape;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.util.Arrays;

/**
 * What all layers of one forward pass share: rotary tables, the additive attention mask and scalar
 * constants. Masks and positions are built from lengths, never from token ids.
 */
final class AttentionContext {
  private static final int HEAD_AXIS = 3;
  // Large enough that exp() gives exactly 0 and small enough that sums stay finite.
  private static final float MASKED = -1e9f;

  private final NDArray ids;
  private final NDArray cosine;
  private final NDArray sine;
  private final NDArray mask;
  private final NDArray queryScale;
  private final NDArray normEpsilon;

  private AttentionContext(
      NDManager manager,
      TransformerConfig config,
      NDArray ids,
      NDArray cosine,
      NDArray sine,
      NDArray mask) {
    this.ids = ids;
    this.cosine = cosine;
    this.sine = sine;
    this.mask = mask;
    this.queryScale = Scalars.of(manager, (float) (1 / Math.sqrt(config.headSize())));
    this.normEpsilon = Scalars.of(manager, (float) config.normEpsilon());
  }

  /**
   * Right-padded rows: row and column t stand for position t, and no position sees a later one, so
   * padding on the right is never seen by real tokens.
   */
  static AttentionContext causal(NDManager manager, TransformerConfig config, long time) {
    int t = Math.toIntExact(time);
    return leftPadded(manager, config, new int[] {0}, 0, t);
  }

  /**
   * Left-padded rows: positions {@code start .. start + time} of the padded time axis as queries,
   * {@code 0 .. start + time} as keys.
   *
   * @param padding padding tokens on the left of each row; one entry that serves all rows will do
   * @param start first query index on the padded time axis, the number of cached positions
   * @param time number of queries
   */
  static AttentionContext leftPadded(
      NDManager manager, TransformerConfig config, int[] padding, int start, int time) {
    int half = config.headSize() / 2;
    int rows = padding.length;
    int keys = start + time;
    FloatBuffer cosine = floats(rows * time * half);
    FloatBuffer sine = floats(rows * time * half);
    FloatBuffer mask = floats(rows * time * keys);
    long[] ids = new long[rows * time];
    int longest = keys - Arrays.stream(padding).min().orElse(0);
    float[] inverseFrequency = config.ropeScaling().inverseFrequencies(config, longest);
    for (int row = 0; row < rows; row++) {
      for (int t = start; t < keys; t++) {
        int position = Math.max(0, t - padding[row]);
        ids[row * time + t - start] = position;
        for (int i = 0; i < half; i++) {
          float angle = position * inverseFrequency[i];
          cosine.put((float) Math.cos(angle));
          sine.put((float) Math.sin(angle));
        }
        for (int key = 0; key < keys; key++) {
          mask.put(key > t || key < padding[row] ? MASKED : 0f);
        }
      }
    }
    return new AttentionContext(
        manager,
        config,
        manager.create(ids, new Shape(rows, time)),
        array(manager, cosine, new Shape(rows, 1, time, half)),
        array(manager, sine, new Shape(rows, 1, time, half)),
        array(manager, mask, new Shape(rows, 1, 1, time, keys)));
  }

  /**
   * Rotates the two halves of each head by its position.
   *
   * @param heads {@code [batch, heads, time, head size]}
   */
  NDArray rotate(NDArray heads) {
    NDList halves = heads.split(2, HEAD_AXIS);
    NDArray first = halves.get(0);
    NDArray second = halves.get(1);
    NDArray rotatedFirst = first.mul(cosine).sub(second.mul(sine));
    NDArray rotatedSecond = second.mul(cosine).add(first.mul(sine));
    return rotatedFirst.concat(rotatedSecond, HEAD_AXIS);
  }

  /** The positions of the queries, int64 {@code [batch or 1, time]}. */
  NDArray ids() {
    return ids;
  }

  /** Additive mask {@code [batch or 1, 1, 1, time, keys]}. */
  NDArray mask() {
    return mask;
  }

  /** The scalar 1/√(head size). */
  NDArray queryScale() {
    return queryScale;
  }

  /** The scalar ε of the norms. */
  NDArray normEpsilon() {
    return normEpsilon;
  }

  private static FloatBuffer floats(int size) {
    return FloatBuffer.allocate(size);
  }

  private static NDArray array(NDManager manager, FloatBuffer values, Shape shape) {
    ByteBuffer bytes =
        ByteBuffer.allocateDirect(values.position() * Float.BYTES).order(ByteOrder.nativeOrder());
    values.flip();
    bytes.asFloatBuffer().put(values);
    return manager.create(bytes, shape, ai.djl.ndarray.types.DataType.FLOAT32);
  }
}
