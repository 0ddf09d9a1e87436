package io.github.sparkrlhf.lm;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import io.github.sparkrlhf.lm.Safetensors.Tensor;
import io.github.sparkrlhf.spark.JobFailure;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.UUID;

/** Writes the one canonical form of a safetensors file. */
final class SafetensorsWriter {
  private static final int ALIGNMENT = 8;
  private static final int BUFFER_FLOATS = 1 << 18;

  private SafetensorsWriter() {}

  /** A tensor whose elements start at {@code offset} of {@code values}. */
  record Slice(Tensor tensor, float[] values, int offset) {}

  static void write(Path file, List<Slice> slices, Map<String, String> metadata) {
    check(slices);
    List<Slice> sorted = new ArrayList<>(slices);
    sorted.sort(Comparator.comparing(slice -> slice.tensor().name()));
    Path target = file.toAbsolutePath();
    Path temporary =
        target.resolveSibling("." + target.getFileName() + ".tmp-" + UUID.randomUUID());
    try {
      try (FileChannel channel =
          FileChannel.open(temporary, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
        writeFully(channel, ByteBuffer.wrap(header(sorted, metadata)));
        for (Slice slice : sorted) {
          writeValues(channel, slice);
        }
        channel.force(true);
      }
      Files.move(
          temporary, target, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    } catch (IOException | IllegalArgumentException e) {
      throw JobFailure.failure("Cannot write " + file + ": " + discard(temporary, e), e);
    }
  }

  private static void check(List<Slice> slices) {
    Set<String> names = new HashSet<>();
    for (Slice slice : slices) {
      Tensor tensor = slice.tensor();
      if (!tensor.dtype().equals("F32") && !tensor.dtype().equals("BF16")) {
        throw new IllegalArgumentException(
            tensor.name() + " is " + tensor.dtype() + ", neither F32 nor BF16");
      }
      if (tensor.name().equals(SafetensorsHeader.METADATA) || !names.add(tensor.name())) {
        throw new IllegalArgumentException("two tensors or a reserved name: " + tensor.name());
      }
    }
  }

  private static String discard(Path temporary, Exception reason) {
    try {
      Files.deleteIfExists(temporary);
    } catch (IOException e) {
      reason.addSuppressed(e);
    }
    return reason.toString();
  }

  private static byte[] header(List<Slice> sorted, Map<String, String> metadata) {
    ByteArrayOutputStream json = new ByteArrayOutputStream();
    try (JsonGenerator generator = new JsonFactory().createGenerator(json)) {
      generator.writeStartObject();
      if (!metadata.isEmpty()) {
        generator.writeObjectFieldStart(SafetensorsHeader.METADATA);
        for (Map.Entry<String, String> entry : new TreeMap<>(metadata).entrySet()) {
          generator.writeStringField(entry.getKey(), entry.getValue());
        }
        generator.writeEndObject();
      }
      long offset = 0;
      for (Slice slice : sorted) {
        offset = writeEntry(generator, slice.tensor(), offset);
      }
      generator.writeEndObject();
    } catch (IOException e) {
      throw new UncheckedIOException("a byte array cannot fail", e);
    }
    while (json.size() % ALIGNMENT != 0) {
      json.write(' ');
    }
    ByteBuffer header =
        ByteBuffer.allocate(Long.BYTES + json.size()).order(ByteOrder.LITTLE_ENDIAN);
    return header.putLong(json.size()).put(json.toByteArray()).array();
  }

  private static long writeEntry(JsonGenerator generator, Tensor tensor, long begin)
      throws IOException {
    long end = begin + WeightType.valueOf(tensor.dtype()).bytes() * tensor.elements();
    generator.writeObjectFieldStart(tensor.name());
    generator.writeStringField("dtype", tensor.dtype());
    generator.writeFieldName("shape");
    generator.writeArray(tensor.shape(), 0, tensor.shape().length);
    generator.writeFieldName("data_offsets");
    generator.writeArray(new long[] {begin, end}, 0, 2);
    generator.writeEndObject();
    return end;
  }

  private static void writeValues(FileChannel channel, Slice slice) throws IOException {
    WeightType type = WeightType.valueOf(slice.tensor().dtype());
    int count = (int) slice.tensor().elements();
    int capacity = Math.min(count, BUFFER_FLOATS);
    ByteBuffer buffer = ByteBuffer.allocate(capacity * type.bytes()).order(ByteOrder.LITTLE_ENDIAN);
    for (int done = 0; done < count; done += capacity) {
      int length = Math.min(capacity, count - done);
      buffer.clear();
      type.put(slice.values(), slice.offset() + done, length, buffer);
      buffer.flip();
      writeFully(channel, buffer);
    }
  }

  private static void writeFully(FileChannel channel, ByteBuffer buffer) throws IOException {
    while (buffer.hasRemaining()) {
      channel.write(buffer);
    }
  }
}
