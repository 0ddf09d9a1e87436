package io.github.sparkrlhf.lm;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.types.DataType;
import ai.djl.ndarray.types.Shape;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * Numbers as arrays. In a pass that is differentiated, never multiply or divide by a Java number:
 * DJL wraps it in a buffer that it lets go at once, while autograd still points at the buffer's
 * memory until the backward pass.
 */
public final class Scalars {
  private Scalars() {}

  /**
   * A scalar that lives as long as its manager.
   *
   * @return float32, without dimensions
   */
  public static NDArray of(NDManager manager, float value) {
    ByteBuffer bytes = ByteBuffer.allocateDirect(Float.BYTES).order(ByteOrder.nativeOrder());
    bytes.putFloat(0, value);
    return manager.create(bytes, new Shape(), DataType.FLOAT32);
  }
}
