package io.github.sparkrlhf.training;

import java.io.IOException;
import java.io.ObjectOutputStream;
import java.io.OutputStream;
import java.io.Serializable;
import java.io.UncheckedIOException;

/**
 * What one round moves, measured by serialising it as Spark does, without compression, which gains
 * nothing on trained weights.
 *
 * @param broadcastBytes what the driver sends to every executor
 * @param resultBytes what every task sends back
 */
public record RoundTraffic(long broadcastBytes, long resultBytes) {
  /** The traffic of a training of these numbers; a gradient is as large as what it is of. */
  static RoundTraffic of(float[] trained) {
    return new RoundTraffic(
        serialized(new FloatArray(trained)), serialized(LaneSums.resultLike(trained)));
  }

  /** How many bytes an object takes. */
  private static long serialized(Serializable object) {
    Counter counter = new Counter();
    try (ObjectOutputStream out = new ObjectOutputStream(counter)) {
      out.writeObject(object);
    } catch (IOException e) {
      throw new UncheckedIOException("a counter cannot fail", e);
    }
    return counter.bytes;
  }

  private static final class Counter extends OutputStream {
    private long bytes;

    @Override
    public void write(int value) {
      bytes++;
    }

    @Override
    public void write(byte[] values, int offset, int length) {
      bytes += length;
    }
  }
}
