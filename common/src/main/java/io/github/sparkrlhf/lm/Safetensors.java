package io.github.sparkrlhf.lm;

import io.github.sparkrlhf.lm.SafetensorsHeader.Entry;
import io.github.sparkrlhf.lm.SafetensorsHeader.Malformed;
import io.github.sparkrlhf.spark.JobFailure;
import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.ShortBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/**
 * A safetensors file: an 8-byte little-endian header length, a JSON header, raw tensors. Nothing in
 * it can execute, and a header that lies about the file is refused.
 *
 * <p>Tensors are memory-mapped piece by piece when they are read, so the size of the file is not
 * limited to what a buffer or the heap holds.
 */
public final class Safetensors implements AutoCloseable {
  /** The limit of the reference implementation. */
  private static final long MAX_HEADER_BYTES = 100_000_000L;

  private static final int LENGTH_BYTES = 8;
  private static final int ELEMENTS_PER_MAPPING = 1 << 26;

  /**
   * A tensor of a file.
   *
   * @param name unique in the file
   * @param shape sizes of the dimensions; empty for a scalar
   * @param dtype as the format spells it: {@code F32}, {@code F16}, {@code BF16}, …
   */
  public record Tensor(String name, long[] shape, String dtype) {
    /** The number of elements, the product of the shape; 1 for a scalar. */
    public long elements() {
      long product = 1;
      for (long size : shape) {
        product = Math.multiplyExact(product, size);
      }
      return product;
    }
  }

  private final Path file;
  private final FileChannel channel;
  private final long dataStart;
  private final SafetensorsHeader header;

  private Safetensors(Path file, FileChannel channel, long dataStart, SafetensorsHeader header) {
    this.file = file;
    this.channel = channel;
    this.dataStart = dataStart;
    this.header = header;
  }

  /**
   * Opens a file and checks its whole header; tensors are read later, on demand.
   *
   * @throws JobFailure if the file cannot be read or its header is not exactly right
   */
  public static Safetensors open(Path file) {
    FileChannel channel = null;
    boolean opened = false;
    try {
      channel = FileChannel.open(file, StandardOpenOption.READ);
      long headerLength = headerLength(channel);
      byte[] json = new byte[(int) headerLength];
      readFully(channel, ByteBuffer.wrap(json), LENGTH_BYTES);
      long dataStart = LENGTH_BYTES + headerLength;
      SafetensorsHeader header = SafetensorsHeader.parse(json, channel.size() - dataStart);
      opened = true;
      return new Safetensors(file, channel, dataStart, header);
    } catch (NoSuchFileException e) {
      throw JobFailure.failure("Cannot read " + file + ": there is no such file", e);
    } catch (IOException | Malformed e) {
      throw JobFailure.failure("Cannot read " + file + ": " + e.getMessage(), e);
    } finally {
      if (!opened) {
        closeQuietly(channel);
      }
    }
  }

  private static long headerLength(FileChannel channel) throws IOException, Malformed {
    long size = channel.size();
    if (size < LENGTH_BYTES) {
      throw new Malformed("a file of " + size + " bytes is too short for safetensors");
    }
    ByteBuffer length = ByteBuffer.allocate(LENGTH_BYTES).order(ByteOrder.LITTLE_ENDIAN);
    readFully(channel, length, 0);
    long headerLength = length.getLong(0);
    if (headerLength < 0 || headerLength > size - LENGTH_BYTES) {
      throw new Malformed("the header is said to be longer than the file");
    }
    if (headerLength > MAX_HEADER_BYTES) {
      throw new Malformed("the header is longer than " + MAX_HEADER_BYTES + " bytes");
    }
    return headerLength;
  }

  private static void readFully(FileChannel channel, ByteBuffer target, long position)
      throws IOException {
    long at = position;
    while (target.hasRemaining()) {
      int read = channel.read(target, at);
      if (read < 0) {
        throw new EOFException("the file ends early");
      }
      at += read;
    }
  }

  private static void closeQuietly(FileChannel channel) {
    if (channel == null) {
      return;
    }
    try {
      channel.close();
    } catch (IOException e) {
      throw JobFailure.failure("Cannot close a safetensors file: " + e.getMessage(), e);
    }
  }

  /** The tensors in the order in which they lie in the file. */
  public List<Tensor> tensors() {
    return header.entries().stream().map(Entry::tensor).toList();
  }

  /** The file's free-form strings; empty if there are none. */
  public Map<String, String> metadata() {
    return Collections.unmodifiableMap(header.metadata());
  }

  /**
   * Copies a tensor of dtype F32, F16 or BF16 into an array, row-major.
   *
   * @param target receives the elements from {@code offset} on
   * @throws JobFailure if the file has no such tensor or it is of another dtype
   * @throws IndexOutOfBoundsException if the tensor does not fit into the target
   */
  public void readInto(String name, float[] target, int offset) {
    Entry entry = entry(name);
    long elements = entry.tensor().elements();
    Objects.checkFromIndexSize((long) offset, elements, (long) target.length);
    int bytes = bytesPerElement(entry.tensor());
    try {
      for (long done = 0; done < elements; done += ELEMENTS_PER_MAPPING) {
        int count = (int) Math.min(ELEMENTS_PER_MAPPING, elements - done);
        ByteBuffer mapped =
            channel
                .map(
                    FileChannel.MapMode.READ_ONLY,
                    dataStart + entry.begin() + done * bytes,
                    (long) count * bytes)
                .order(ByteOrder.LITTLE_ENDIAN);
        copy(mapped, entry.tensor().dtype(), target, offset + (int) done, count);
      }
    } catch (IOException e) {
      throw JobFailure.failure("Cannot read " + name + " of " + file + ": " + e.getMessage(), e);
    }
  }

  private Entry entry(String name) {
    for (Entry entry : header.entries()) {
      if (entry.tensor().name().equals(name)) {
        return entry;
      }
    }
    throw JobFailure.failure("Cannot read " + file + ": it has no tensor named '" + name + "'");
  }

  private int bytesPerElement(Tensor tensor) {
    return switch (tensor.dtype()) {
      case "F32" -> Float.BYTES;
      case "F16", "BF16" -> Short.BYTES;
      default ->
          throw JobFailure.failure(
              "Cannot read "
                  + tensor.name()
                  + " of "
                  + file
                  + ": its dtype "
                  + tensor.dtype()
                  + " is none of F32, F16, BF16");
    };
  }

  private static void copy(ByteBuffer from, String dtype, float[] target, int offset, int count) {
    if (dtype.equals("F32")) {
      from.asFloatBuffer().get(target, offset, count);
      return;
    }
    boolean half = dtype.equals("F16");
    ShortBuffer shorts = from.asShortBuffer();
    for (int i = 0; i < count; i++) {
      short bits = shorts.get(i);
      target[offset + i] = half ? halfToFloat(bits) : Float.intBitsToFloat(bits << 16);
    }
  }

  /** IEEE 754 binary16 to binary32, exact; signalling NaN payloads are kept. */
  static float halfToFloat(short half) {
    int sign = (half & 0x8000) << 16;
    int exponent = (half >>> 10) & 0x1F;
    int fraction = half & 0x3FF;
    if (exponent == 0x1F) {
      return Float.intBitsToFloat(sign | 0x7F800000 | (fraction << 13));
    }
    if (exponent == 0) {
      float magnitude = fraction * 0x1.0p-24f;
      return sign == 0 ? magnitude : -magnitude;
    }
    return Float.intBitsToFloat(sign | ((exponent + 112) << 23) | (fraction << 13));
  }

  /**
   * Writes tensors as F32. The same tensors give the same bytes whatever the order of the list:
   * names are sorted, the header is padded with spaces to a multiple of 8. The file is written
   * beside and renamed into place.
   *
   * @param tensors names and shapes; their dtype must be F32
   * @param values the elements of all tensors, concatenated in the order of the list
   * @param metadata strings for {@code __metadata__}; omitted if empty
   * @throws JobFailure if the file cannot be written
   */
  public static void write(
      Path file, List<Tensor> tensors, float[] values, Map<String, String> metadata) {
    List<SafetensorsWriter.Slice> slices = new ArrayList<>();
    long offset = 0;
    for (Tensor tensor : tensors) {
      if (offset + tensor.elements() > values.length) {
        break;
      }
      slices.add(new SafetensorsWriter.Slice(tensor, values, (int) offset));
      offset += tensor.elements();
    }
    if (slices.size() < tensors.size() || offset != values.length) {
      throw new IllegalArgumentException(
          values.length + " values do not match the shapes of " + tensors.size() + " tensors");
    }
    SafetensorsWriter.write(file, slices, metadata);
  }

  /**
   * Writes one-dimensional F32 tensors, one for each array, without copying them together.
   *
   * @param vectors the arrays by tensor name
   * @throws JobFailure if the file cannot be written
   */
  public static void writeVectors(
      Path file, Map<String, float[]> vectors, Map<String, String> metadata) {
    List<SafetensorsWriter.Slice> slices = new ArrayList<>();
    vectors.forEach(
        (name, values) ->
            slices.add(
                new SafetensorsWriter.Slice(
                    new Tensor(name, new long[] {values.length}, "F32"), values, 0)));
    SafetensorsWriter.write(file, slices, metadata);
  }

  @Override
  public void close() {
    closeQuietly(channel);
  }
}
