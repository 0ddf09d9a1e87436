package io.github.sparkrlhf.lm;

import java.nio.ByteBuffer;

/** The types in which weights are written; computed with is float32. */
public enum WeightType {
  /** IEEE 754 single precision: the weights as they are. */
  F32("float32", Float.BYTES),

  /** The upper half of F32, rounded to nearest, ties to even. */
  BF16("bfloat16", Short.BYTES);

  private static final int LOWER_BITS = 16;

  private final String torchName;
  private final int bytes;

  WeightType(String torchName, int bytes) {
    this.torchName = torchName;
    this.bytes = bytes;
  }

  /** The name in {@code config.json}. */
  String torchName() {
    return torchName;
  }

  /** Bytes per weight. */
  int bytes() {
    return bytes;
  }

  /**
   * Appends weights to a buffer.
   *
   * @throws IllegalArgumentException if BF16 cannot hold one: NaN, or infinite once rounded
   */
  void put(float[] values, int offset, int length, ByteBuffer buffer) {
    for (int i = offset; i < offset + length; i++) {
      if (this == F32) {
        buffer.putFloat(values[i]);
      } else {
        buffer.putShort(rounded(values[i]));
      }
    }
  }

  private static short rounded(float value) {
    int bits = Float.floatToRawIntBits(value);
    int even = bits >>> LOWER_BITS & 1;
    short upper = (short) (bits + 0x7FFF + even >>> LOWER_BITS);
    if (!Float.isFinite(value) || !Float.isFinite(Float.intBitsToFloat(upper << LOWER_BITS))) {
      throw new IllegalArgumentException(value + " has no place in BF16");
    }
    return upper;
  }
}
