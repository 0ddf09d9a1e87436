package io.github.sparkrlhf.lm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.sparkrlhf.lm.Safetensors.Tensor;
import io.github.sparkrlhf.spark.JobFailure;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

class SafetensorsTest {
  private static final Path GOLDEN = Path.of("src/test/resources/golden");

  @TempDir Path directory;

  @Test
  void readsWhatTransformersWrote() throws IOException {
    JsonNode golden = new ObjectMapper().readTree(GOLDEN.resolve("llama/golden.json").toFile());
    try (Safetensors file = Safetensors.open(GOLDEN.resolve("llama/model.safetensors"))) {
      assertThat(file.metadata()).containsExactly(Map.entry("format", "pt"));
      assertThat(file.tensors()).hasSize(21);
      assertThat(file.tensors().get(0).name()).isEqualTo("lm_head.weight");
      assertThat(file.tensors().get(0).shape()).containsExactly(97, 32);
      assertThat(values(file, "lm_head.weight")).startsWith(0.24845433f, 0.0832146f, 0.33602864f);
    }
    try (Safetensors gradients = Safetensors.open(GOLDEN.resolve("llama/grads.safetensors"))) {
      double squares = 0;
      for (Tensor tensor : gradients.tensors()) {
        double norm = norm(values(gradients, tensor.name()));
        assertThat(norm)
            .isCloseTo(golden.path("grad_l2").path(tensor.name()).asDouble(), within(1e-5));
        squares += norm * norm;
      }
      assertThat(Math.sqrt(squares))
          .isCloseTo(golden.path("grad_total_l2").asDouble(), within(1e-5));
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"llama", "qwen2", "llama_rm"})
  void rewritingAFileOfTransformersGivesTheSameBytes(String model) throws IOException {
    Path original = GOLDEN.resolve(model).resolve("model.safetensors");
    Path copy = directory.resolve("copy.safetensors");
    try (Safetensors file = Safetensors.open(original)) {
      Safetensors.write(copy, file.tensors(), allValues(file, file.tensors()), file.metadata());
    }
    assertThat(copy).hasSameBinaryContentAs(original);
  }

  @Test
  void bytesDoNotDependOnTheOrderOfTheList() {
    Tensor a = new Tensor("a \"quoted\" ü", new long[] {2, 1}, "F32");
    Tensor b = new Tensor("b", new long[] {}, "F32");
    Tensor c = new Tensor("c", new long[] {0, 5}, "F32");
    Path first = directory.resolve("first");
    Path second = directory.resolve("second");
    Map<String, String> metadata = Map.of("x", "1", "y", "2", "z", "3");
    Safetensors.write(first, List.of(a, b, c), new float[] {1, 2, 3}, metadata);
    Safetensors.write(second, List.of(c, b, a), new float[] {3, 1, 2}, metadata);
    assertThat(first).hasSameBinaryContentAs(second);
    try (Safetensors file = Safetensors.open(second)) {
      assertThat(values(file, a.name())).containsExactly(1, 2);
      assertThat(values(file, "b")).containsExactly(3);
      assertThat(values(file, "c")).isEmpty();
      assertThat(file.metadata()).isEqualTo(metadata);
    }
  }

  @Test
  void vectorsAreTensorsOfOneDimension() {
    Path path = directory.resolve("vectors");
    Safetensors.writeVectors(
        path, Map.of("v", new float[] {4, 5}, "m", new float[] {1, 2, 3}), Map.of());
    try (Safetensors file = Safetensors.open(path)) {
      assertThat(file.tensors().stream().map(Tensor::name)).containsExactly("m", "v");
      assertThat(values(file, "m")).containsExactly(1, 2, 3);
      assertThat(values(file, "v")).containsExactly(4, 5);
    }
  }

  @Test
  void writingLeavesNothingBesideAndReplacesWhatWasThere() throws IOException {
    Path path = directory.resolve("model.safetensors");
    Files.writeString(path, "old");
    Safetensors.writeVectors(path, Map.of("w", new float[] {1}), Map.of());
    try (Stream<Path> files = Files.list(directory)) {
      assertThat(files).containsExactly(path);
    }
    try (Safetensors file = Safetensors.open(path)) {
      assertThat(values(file, "w")).containsExactly(1);
    }
  }

  @Test
  void writingToAMissingDirectoryIsAFailureThatNamesTheFile() {
    Path path = directory.resolve("missing/model.safetensors");
    assertThatThrownBy(() -> Safetensors.writeVectors(path, Map.of("w", new float[1]), Map.of()))
        .isInstanceOf(JobFailure.class)
        .hasMessageStartingWith("Cannot write " + path);
  }

  @Test
  void valuesMustMatchTheShapes() {
    List<Tensor> tensors = List.of(new Tensor("w", new long[] {3}, "F32"));
    for (int length : new int[] {2, 4}) {
      assertThatThrownBy(
              () -> Safetensors.write(directory.resolve("w"), tensors, new float[length], Map.of()))
          .isInstanceOf(IllegalArgumentException.class);
    }
  }

  @Test
  void readsHalfPrecision() throws IOException {
    // 1, −2, 65504 (the largest), 2^-24 (the smallest subnormal), −0, infinity, 1/3 rounded
    short[] bits = {0x3C00, (short) 0xC000, 0x7BFF, 0x0001, (short) 0x8000, 0x7C00, 0x3555};
    try (Safetensors file = Safetensors.open(shorts("F16", bits))) {
      assertThat(values(file, "w"))
          .containsExactly(1f, -2f, 65504f, 0x1p-24f, -0f, Float.POSITIVE_INFINITY, 0x1.554p-2f);
    }
    assertThat(Safetensors.halfToFloat((short) 0x7E00)).isNaN();
    // The largest subnormal and the smallest normal number are neighbours.
    assertThat(Safetensors.halfToFloat((short) 0x03FF)).isEqualTo(1023 * 0x1p-24f);
    assertThat(Safetensors.halfToFloat((short) 0x0400)).isEqualTo(0x1p-14f);
  }

  @Test
  void readsBfloat16() throws IOException {
    short[] bits = {0x3F80, (short) 0xC040, 0x0001, 0x7F80, 0x4049};
    try (Safetensors file = Safetensors.open(shorts("BF16", bits))) {
      assertThat(values(file, "w"))
          .containsExactly(1f, -3f, Float.MIN_VALUE * 65536, Float.POSITIVE_INFINITY, 3.140625f);
    }
  }

  @Test
  void readsATensorBeyondTwoGibibytes() throws IOException {
    long skipped = 3L << 30;
    long length = skipped + 8;
    String json =
        "{\"big\":{\"dtype\":\"U8\",\"shape\":[%d],\"data_offsets\":[0,%d]},"
                .formatted(skipped, skipped)
            + "\"w\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[%d,%d]}}"
                .formatted(skipped, length);
    Path path = file(json, 0);
    try (RandomAccessFile sparse = new RandomAccessFile(path.toFile(), "rw")) {
      long end = sparse.length() + length;
      sparse.setLength(end);
      sparse.seek(end - 8);
      sparse.write(floats(1.5f, -2.5f));
    }
    try (Safetensors file = Safetensors.open(path)) {
      assertThat(values(file, "w")).containsExactly(1.5f, -2.5f);
    }
  }

  @Test
  void readsOnlyFloatTensorsThatExistAndFit() throws IOException {
    Path path = file(entry("i", "I64", "[1]", 0, 8), 8);
    try (Safetensors file = Safetensors.open(path)) {
      assertThatThrownBy(() -> file.readInto("i", new float[1], 0))
          .isInstanceOf(JobFailure.class)
          .hasMessageContaining("I64 is none of F32, F16, BF16");
      assertThatThrownBy(() -> file.readInto("w", new float[1], 0))
          .isInstanceOf(JobFailure.class)
          .hasMessageContaining("no tensor named 'w'");
    }
    try (Safetensors file = Safetensors.open(file(entry("w", "F32", "[2]", 0, 8), 8))) {
      float[] target = new float[3];
      assertThatThrownBy(() -> file.readInto("w", target, 2))
          .isInstanceOf(IndexOutOfBoundsException.class);
    }
  }

  static Stream<Arguments> hostileHeaders() {
    String w = "\"w\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}";
    return Stream.of(
        Arguments.of("not JSON", "{]", 8, "not JSON"),
        Arguments.of("no object", "[1]", 8, "does not start with '{'"),
        Arguments.of("leading space", " {" + w + "}", 8, "does not start with '{'"),
        Arguments.of("second value", "{" + w + "}{}", 8, "goes on after its JSON object"),
        Arguments.of("cut off", "{" + w, 8, "not JSON"),
        Arguments.of("duplicate tensor", "{" + w + "," + w + "}", 8, "Duplicate field 'w'"),
        Arguments.of(
            "duplicate field",
            "{\"w\":{\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}",
            8,
            "Duplicate field 'dtype'"),
        Arguments.of("unknown dtype", entry("w", "F31", "[2]", 0, 8), 8, "unknown dtype 'F31'"),
        Arguments.of("negative offset", entry("w", "F32", "[2]", -8, 0), 8, "negative number -8"),
        Arguments.of("swapped offsets", entry("w", "F32", "[0]", 8, 0), 8, "not [begin, end]"),
        Arguments.of("size mismatch", entry("w", "F32", "[3]", 0, 8), 8, "take 12 bytes"),
        Arguments.of(
            "overflowing shape",
            entry("w", "F32", "[4294967296,4294967296]", 0, 8),
            8,
            "its shape overflows"),
        Arguments.of(
            "overflow to a small product",
            entry("w", "F32", "[4611686018427387905]", 0, 4),
            4,
            "its shape overflows"),
        Arguments.of(
            "overflowing number", entry("w", "F32", "[99999999999999999999]", 0, 8), 8, "not JSON"),
        Arguments.of("fraction", entry("w", "F32", "[2.0]", 0, 8), 8, "list of whole numbers"),
        Arguments.of("negative dimension", entry("w", "F32", "[-2]", 0, 8), 8, "negative number"),
        Arguments.of("beyond the end", entry("w", "F32", "[4]", 0, 16), 8, "beyond the end"),
        Arguments.of("trailing bytes", entry("w", "F32", "[2]", 0, 8), 12, "4 bytes at the end"),
        Arguments.of("gap at the start", entry("w", "F32", "[1]", 4, 8), 8, "gap before"),
        Arguments.of(
            "overlap",
            "{" + w + ",\"v\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,12]}}",
            12,
            "overlaps"),
        Arguments.of(
            "same bytes twice",
            "{" + w + ",\"v\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}",
            8,
            "overlaps"),
        Arguments.of(
            "gap",
            "{" + w + ",\"v\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[12,16]}}",
            16,
            "gap before tensor 'v'"),
        Arguments.of(
            "missing field", "{\"w\":{\"dtype\":\"F32\",\"shape\":[2]}}", 8, "lacks one of"),
        Arguments.of(
            "unknown field",
            "{\"w\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8],\"run\":\"sh\"}}",
            8,
            "unknown field 'run'"),
        Arguments.of("tensor is a list", "{\"w\":[]}", 0, "is not a JSON object"),
        Arguments.of("shape is an object", entry("w", "F32", "{}", 0, 8), 8, "list of whole"),
        Arguments.of("nested shape", entry("w", "F32", "[[2]]", 0, 8), 8, "list of whole"),
        Arguments.of("metadata number", "{\"__metadata__\":{\"a\":1}}", 0, "is not a string"),
        Arguments.of("deep nesting", "{\"w\":" + "[".repeat(100_000), 0, "not a JSON object"));
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("hostileHeaders")
  void refusesHostileHeaders(String name, String json, int dataLength, String why)
      throws IOException {
    Path path = file(json, dataLength);
    assertThatThrownBy(() -> Safetensors.open(path).close())
        .isInstanceOf(JobFailure.class)
        .hasMessageStartingWith("Cannot read " + path + ": ")
        .hasMessageContaining(why);
  }

  @ParameterizedTest
  @ValueSource(longs = {Long.MAX_VALUE, Long.MIN_VALUE, -1, 3, 100_000_001})
  void refusesAHeaderLengthThatDoesNotFitTheFile(long length) throws IOException {
    Path path = directory.resolve("length.safetensors");
    Files.write(
        path,
        ByteBuffer.allocate(10)
            .order(ByteOrder.LITTLE_ENDIAN)
            .putLong(length)
            .put((byte) '{')
            .put((byte) '}')
            .array());
    assertThatThrownBy(() -> Safetensors.open(path).close())
        .isInstanceOf(JobFailure.class)
        .hasMessageContaining("longer than the file");
  }

  @Test
  void refusesAHugeHeaderWithoutReadingIt() throws IOException {
    Path path = directory.resolve("huge.safetensors");
    try (RandomAccessFile sparse = new RandomAccessFile(path.toFile(), "rw")) {
      sparse.write(ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN).putLong(1L << 32).array());
      sparse.setLength(1L << 33);
    }
    assertThatThrownBy(() -> Safetensors.open(path).close())
        .isInstanceOf(JobFailure.class)
        .hasMessageContaining("longer than 100000000 bytes");
  }

  @Test
  void refusesWhatIsNoSafetensorsFileAtAll() throws IOException {
    Path empty = Files.createFile(directory.resolve("empty"));
    assertThatThrownBy(() -> Safetensors.open(empty).close())
        .isInstanceOf(JobFailure.class)
        .hasMessageContaining("too short");
    assertThatThrownBy(() -> Safetensors.open(directory.resolve("missing")).close())
        .isInstanceOf(JobFailure.class)
        .hasMessageContaining("there is no such file");
    Path latin1 = directory.resolve("latin1");
    Files.write(latin1, new byte[] {2, 0, 0, 0, 0, 0, 0, 0, '{', (byte) 0xE9});
    assertThatThrownBy(() -> Safetensors.open(latin1).close())
        .isInstanceOf(JobFailure.class)
        .hasMessageContaining("not UTF-8");
  }

  private static String entry(String name, String dtype, String shape, long begin, long end) {
    return "{\"%s\":{\"dtype\":\"%s\",\"shape\":%s,\"data_offsets\":[%d,%d]}}"
        .formatted(name, dtype, shape, begin, end);
  }

  private Path file(String json, int dataLength) throws IOException {
    byte[] header = json.getBytes(StandardCharsets.UTF_8);
    Path path = Files.createTempFile(directory, "case", ".safetensors");
    Files.write(
        path,
        ByteBuffer.allocate(8 + header.length + dataLength)
            .order(ByteOrder.LITTLE_ENDIAN)
            .putLong(header.length)
            .put(header)
            .array());
    return path;
  }

  private Path shorts(String dtype, short[] bits) throws IOException {
    Path path = file(entry("w", dtype, "[" + bits.length + "]", 0, 2L * bits.length), 0);
    ByteBuffer data = ByteBuffer.allocate(2 * bits.length).order(ByteOrder.LITTLE_ENDIAN);
    data.asShortBuffer().put(bits);
    Files.write(path, data.array(), StandardOpenOption.APPEND);
    return path;
  }

  private static byte[] floats(float... values) {
    ByteBuffer data = ByteBuffer.allocate(4 * values.length).order(ByteOrder.LITTLE_ENDIAN);
    data.asFloatBuffer().put(values);
    return data.array();
  }

  private static float[] values(Safetensors file, String name) {
    Tensor tensor =
        file.tensors().stream().filter(t -> t.name().equals(name)).findFirst().orElseThrow();
    float[] values = new float[(int) tensor.elements()];
    file.readInto(name, values, 0);
    return values;
  }

  private static float[] allValues(Safetensors file, List<Tensor> tensors) {
    int size = (int) tensors.stream().mapToLong(Tensor::elements).sum();
    float[] values = new float[size + 1];
    int offset = 0;
    for (Tensor tensor : tensors) {
      file.readInto(tensor.name(), values, offset);
      offset += (int) tensor.elements();
    }
    return Arrays.copyOf(values, size);
  }

  private static double norm(float[] values) {
    double squares = 0;
    for (float value : values) {
      squares += (double) value * value;
    }
    return Math.sqrt(squares);
  }
}
