package io.github.sparkrlhf.training;

import java.io.Externalizable;
import java.io.IOException;
import java.io.ObjectInput;
import java.io.ObjectOutput;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * Weights or a gradient on their way through Spark. Java serialises a bare {@code float[]} number
 * by number, which costs a round more than the network does; this one is copied in blocks.
 */
public final class FloatArray implements Externalizable {
  private static final long serialVersionUID = 1L;
  private static final int BLOCK = 1 << 14;

  private float[] values;

  /** For deserialisation only. */
  public FloatArray() {}

  /**
   * Wraps an array.
   *
   * @param values not copied
   */
  public FloatArray(float[] values) {
    this.values = values;
  }

  /** The wrapped array. */
  public float[] values() {
    return values;
  }

  @Override
  public void writeExternal(ObjectOutput out) throws IOException {
    out.writeInt(values.length);
    ByteBuffer block = ByteBuffer.allocate(BLOCK * Float.BYTES).order(ByteOrder.LITTLE_ENDIAN);
    for (int from = 0; from < values.length; from += BLOCK) {
      int count = Math.min(BLOCK, values.length - from);
      block.asFloatBuffer().put(values, from, count);
      out.write(block.array(), 0, count * Float.BYTES);
    }
  }

  @Override
  public void readExternal(ObjectInput in) throws IOException {
    values = new float[in.readInt()];
    ByteBuffer block = ByteBuffer.allocate(BLOCK * Float.BYTES).order(ByteOrder.LITTLE_ENDIAN);
    for (int from = 0; from < values.length; from += BLOCK) {
      int count = Math.min(BLOCK, values.length - from);
      in.readFully(block.array(), 0, count * Float.BYTES);
      block.asFloatBuffer().get(values, from, count);
    }
  }
}
