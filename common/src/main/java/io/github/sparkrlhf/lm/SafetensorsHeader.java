package io.github.sparkrlhf.lm;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.core.StreamReadFeature;
import io.github.sparkrlhf.lm.Safetensors.Tensor;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * The JSON header of a safetensors file, checked as if an attacker had written it: every byte of
 * the data belongs to exactly one tensor, and no number in it is believed before it fits the file.
 *
 * @param entries the tensors by offset, hence in file order
 * @param metadata the strings under {@code __metadata__}
 */
record SafetensorsHeader(List<Entry> entries, Map<String, String> metadata) {
  static final String METADATA = "__metadata__";

  private static final Map<String, Integer> BYTES_PER_ELEMENT =
      Map.ofEntries(
          Map.entry("BOOL", 1),
          Map.entry("U8", 1),
          Map.entry("I8", 1),
          Map.entry("F8_E4M3", 1),
          Map.entry("F8_E5M2", 1),
          Map.entry("I16", 2),
          Map.entry("U16", 2),
          Map.entry("F16", 2),
          Map.entry("BF16", 2),
          Map.entry("I32", 4),
          Map.entry("U32", 4),
          Map.entry("F32", 4),
          Map.entry("I64", 8),
          Map.entry("U64", 8),
          Map.entry("F64", 8));

  private static final JsonFactory JSON =
      JsonFactory.builder().enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION).build();

  /** A tensor and where its bytes lie, counted from the end of the header. */
  record Entry(Tensor tensor, long begin, long end) {}

  /** Why a header is refused; the reader adds the file's name. */
  static final class Malformed extends Exception {
    private static final long serialVersionUID = 1L;

    Malformed(String why) {
      super(why);
    }
  }

  /**
   * Parses and checks a header.
   *
   * @param json the header's bytes
   * @param dataLength the number of bytes that follow the header
   */
  static SafetensorsHeader parse(byte[] json, long dataLength) throws Malformed {
    String text = decode(json);
    if (!text.startsWith("{")) {
      throw new Malformed("the header does not start with '{'");
    }
    List<Entry> entries = new ArrayList<>();
    Map<String, String> metadata = new LinkedHashMap<>();
    try (JsonParser parser = JSON.createParser(text)) {
      expect(parser.nextToken(), JsonToken.START_OBJECT, "the header");
      while (parser.nextToken() == JsonToken.FIELD_NAME) {
        String name = parser.currentName();
        parser.nextToken();
        if (name.equals(METADATA)) {
          readMetadata(parser, metadata);
        } else {
          entries.add(readEntry(parser, name));
        }
      }
      if (parser.nextToken() != null) {
        throw new Malformed("the header goes on after its JSON object");
      }
    } catch (JsonProcessingException e) {
      throw new Malformed("the header is not JSON: " + e.getOriginalMessage());
    } catch (IOException e) {
      throw new Malformed("the header is not JSON: " + e.getMessage());
    }
    entries.sort(Comparator.comparingLong(Entry::begin).thenComparingLong(Entry::end));
    checkCoverage(entries, dataLength);
    return new SafetensorsHeader(List.copyOf(entries), metadata);
  }

  private static String decode(byte[] json) throws Malformed {
    try {
      return StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(json)).toString();
    } catch (CharacterCodingException e) {
      throw new Malformed("the header is not UTF-8");
    }
  }

  private static void readMetadata(JsonParser parser, Map<String, String> metadata)
      throws IOException, Malformed {
    expect(parser.currentToken(), JsonToken.START_OBJECT, METADATA);
    while (parser.nextToken() == JsonToken.FIELD_NAME) {
      String key = parser.currentName();
      expect(parser.nextToken(), JsonToken.VALUE_STRING, METADATA + " '" + key + "'");
      metadata.put(key, parser.getText());
    }
  }

  private static Entry readEntry(JsonParser parser, String name) throws IOException, Malformed {
    String what = "tensor '" + name + "'";
    expect(parser.currentToken(), JsonToken.START_OBJECT, what);
    String dtype = null;
    long[] shape = null;
    long[] offsets = null;
    while (parser.nextToken() == JsonToken.FIELD_NAME) {
      String field = parser.currentName();
      JsonToken value = parser.nextToken();
      switch (field) {
        case "dtype" -> {
          expect(value, JsonToken.VALUE_STRING, what + ": dtype");
          dtype = parser.getText();
        }
        case "shape" -> shape = readNumbers(parser, what + ": shape");
        case "data_offsets" -> offsets = readNumbers(parser, what + ": data_offsets");
        default -> throw new Malformed(what + ": unknown field '" + field + "'");
      }
    }
    if (dtype == null || shape == null || offsets == null) {
      throw new Malformed(what + " lacks one of dtype, shape, data_offsets");
    }
    if (offsets.length != 2 || offsets[0] > offsets[1]) {
      throw new Malformed(what + ": data_offsets are not [begin, end]");
    }
    long expected = byteLength(what, dtype, shape);
    if (offsets[1] - offsets[0] != expected) {
      throw new Malformed(
          what
              + ": its shape and dtype take "
              + expected
              + " bytes, its offsets span "
              + (offsets[1] - offsets[0]));
    }
    return new Entry(new Tensor(name, shape, dtype), offsets[0], offsets[1]);
  }

  private static long[] readNumbers(JsonParser parser, String what) throws IOException, Malformed {
    expect(parser.currentToken(), JsonToken.START_ARRAY, what);
    List<Long> numbers = new ArrayList<>();
    while (parser.nextToken() != JsonToken.END_ARRAY) {
      expect(parser.currentToken(), JsonToken.VALUE_NUMBER_INT, what);
      long number = parser.getLongValue();
      if (number < 0) {
        throw new Malformed(what + " contains the negative number " + number);
      }
      numbers.add(number);
    }
    return numbers.stream().mapToLong(Long::longValue).toArray();
  }

  private static long byteLength(String what, String dtype, long[] shape) throws Malformed {
    Integer bytes = BYTES_PER_ELEMENT.get(dtype);
    if (bytes == null) {
      throw new Malformed(what + ": unknown dtype '" + dtype + "'");
    }
    try {
      long length = bytes;
      for (long size : shape) {
        length = Math.multiplyExact(length, size);
      }
      return length;
    } catch (ArithmeticException e) {
      throw new Malformed(what + ": its shape overflows");
    }
  }

  private static void checkCoverage(List<Entry> sorted, long dataLength) throws Malformed {
    long end = 0;
    for (Entry entry : sorted) {
      String what = "tensor '" + entry.tensor().name() + "'";
      if (entry.begin() < end) {
        throw new Malformed(what + " overlaps the one before it");
      }
      if (entry.begin() > end) {
        throw new Malformed("there is a gap before " + what);
      }
      if (entry.end() > dataLength) {
        throw new Malformed(what + " ends beyond the end of the file");
      }
      end = entry.end();
    }
    if (end != dataLength) {
      throw new Malformed((dataLength - end) + " bytes at the end belong to no tensor");
    }
  }

  private static void expect(JsonToken found, JsonToken expected, String what) throws Malformed {
    if (found != expected) {
      throw new Malformed(what + " is not a " + KIND.get(expected));
    }
  }

  private static final Map<JsonToken, String> KIND =
      Map.of(
          JsonToken.START_OBJECT, "JSON object",
          JsonToken.START_ARRAY, "list of whole numbers",
          JsonToken.VALUE_NUMBER_INT, "list of whole numbers",
          JsonToken.VALUE_STRING, "string");
}
