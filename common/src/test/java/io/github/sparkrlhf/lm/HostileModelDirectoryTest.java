package io.github.sparkrlhf.lm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.sun.management.ThreadMXBean;
import io.github.sparkrlhf.spark.JobFailure;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.io.UncheckedIOException;
import java.lang.management.ManagementFactory;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Random;
import java.util.stream.Stream;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.io.TempDir;

/** Model directories as an attacker, a broken download or a careless hand leaves them. */
class HostileModelDirectoryTest {
  private static final TransformerConfig CONFIG = TransformerConfig.llama(259, 16, 24, 2, 2, 16);
  private static final String CONFIG_FILE = "config.json";
  private static final String TOKENIZER = "tokenizer.json";
  private static final long MAX_ALLOCATION = 64L << 20;

  @TempDir Path folder;

  private interface Damage {
    void to(Path model) throws IOException;
  }

  /** What is done to a sound directory, and what the error says. */
  private static Map<String, Map.Entry<String, Damage>> kinds() {
    Map<String, Map.Entry<String, Damage>> kinds = new LinkedHashMap<>();
    // Files
    put(kinds, "no config", "config.json: there is no such file", m -> delete(m, CONFIG_FILE));
    put(kinds, "no weights", "there is no such file", m -> delete(m, WeightFiles.SINGLE));
    put(kinds, "no tokenizer", "tokenizer.json: there is no such file", m -> delete(m, TOKENIZER));
    put(kinds, "config is a directory", "there is no such file", m -> folder(m, CONFIG_FILE));
    put(
        kinds,
        "weights are a directory",
        "there is no such file",
        m -> folder(m, WeightFiles.SINGLE));
    put(kinds, "config links outside", "outside of the model", m -> link(m, CONFIG_FILE));
    put(kinds, "weights link outside", "outside of the model", m -> link(m, WeightFiles.SINGLE));
    put(kinds, "tokenizer links outside", "outside of the model", m -> link(m, TOKENIZER));
    put(kinds, "config links to itself", "there is no such file", m -> loop(m, CONFIG_FILE));
    put(kinds, "config of 200 GB", "bytes are too many", m -> sparse(m, CONFIG_FILE));
    put(kinds, "tokenizer of 200 GB", "bytes are too many", m -> sparse(m, TOKENIZER));
    // Configuration
    put(kinds, "config not JSON", "it is not JSON", m -> text(m, CONFIG_FILE, "import os"));
    put(kinds, "config empty", "architecture '' is not", m -> text(m, CONFIG_FILE, "{}"));
    put(kinds, "config not UTF-8", "it is not UTF-8", m -> bytes(m, CONFIG_FILE, (byte) 0xFF));
    put(kinds, "config nested", "it is not JSON", m -> text(m, CONFIG_FILE, "[".repeat(100_000)));
    put(
        kinds,
        "hidden size 2^31 - 1",
        "parameters",
        m -> config(m, "hidden_size\" : 16", "hidden_size\" : 2147483647"));
    put(
        kinds,
        "hidden size 2^63",
        "hidden_size cannot be",
        m -> config(m, "hidden_size\" : 16", "hidden_size\" : 9223372036854775808"));
    put(
        kinds,
        "negative layers",
        "num_hidden_layers cannot be -3",
        m -> config(m, "num_hidden_layers\" : 2", "num_hidden_layers\" : -3"));
    put(
        kinds,
        "10^9 layers",
        "num_hidden_layers cannot be",
        m -> config(m, "num_hidden_layers\" : 2", "num_hidden_layers\" : 1000000000"));
    put(
        kinds,
        "more layers than weights",
        "missing tensors [model.layers.2",
        m -> config(m, "num_hidden_layers\" : 2", "num_hidden_layers\" : 1000"));
    put(
        kinds,
        "fewer layers than weights",
        "unexpected [model.layers.1",
        m -> config(m, "num_hidden_layers\" : 2", "num_hidden_layers\" : 1"));
    put(
        kinds,
        "vocabulary mismatch",
        "the configuration says",
        m -> config(m, "vocab_size\" : 259", "vocab_size\" : 300"));
    // Weights
    put(kinds, "weights empty", "too short", m -> bytes(m, WeightFiles.SINGLE));
    put(kinds, "weights truncated", "beyond the end of the file", m -> cut(m, 4));
    put(kinds, "weights cut in the header", "longer than the file", m -> cut(m, Integer.MAX_VALUE));
    put(
        kinds,
        "a pickle",
        "longer than the file",
        m -> text(m, WeightFiles.SINGLE, "\u0080\u0002}q\u0000(X\u0005 evil"));
    put(
        kinds,
        "header of 2^63 bytes",
        "longer than the file",
        m -> headerLength(m, Long.MIN_VALUE));
    put(
        kinds,
        "header longer than the file",
        "longer than the file",
        m -> headerLength(m, 1L << 40));
    put(kinds, "header of nothing", "does not start with", m -> headerLength(m, 0));
    put(kinds, "wrong dtype", "none of F32, F16, BF16", m -> header(m, "F32", "I32"));
    put(kinds, "unknown dtype", "unknown dtype", m -> header(m, "F32", "F99"));
    put(kinds, "shape of 2^62", "take", m -> header(m, "[259,16]", "[999999]"));
    put(kinds, "offsets moved", "", m -> header(m, "\"data_offsets\":[0", "\"data_offsets\":[4"));
    put(kinds, "a NaN weight", "contains NaN at", m -> last(m, Float.NaN));
    put(kinds, "an infinite weight", "contains Infinity at", m -> last(m, Float.POSITIVE_INFINITY));
    // Index
    put(kinds, "index without map", "it has no weight_map", m -> index(m, "{}"));
    put(
        kinds,
        "index of itself",
        "is no name of a safetensors file",
        m -> index(m, map(WeightFiles.INDEX)));
    put(
        kinds,
        "index leads outside",
        "is no name of a safetensors file",
        m -> index(m, map("../x.safetensors")));
    put(
        kinds,
        "index leads to the root",
        "is no name of a safetensors file",
        m -> index(m, map("/etc/passwd")));
    put(
        kinds,
        "index of a missing file",
        "there is no such file",
        m -> index(m, map("none.safetensors")));
    put(
        kinds,
        "index names a stranger",
        "does not stand in",
        m -> index(m, "{\"weight_map\": {\"x\": \"a.safetensors\"}}"));
    put(
        kinds,
        "index leaves out a tensor",
        "but not in the index",
        m -> index(m, map("a.safetensors")));
    // Tokenizer
    put(kinds, "tokenizer not JSON", "tokenizer.json", m -> text(m, TOKENIZER, "{\"model\""));
    put(kinds, "tokenizer without model", "tokenizer.json", m -> text(m, TOKENIZER, "{}"));
    put(
        kinds,
        "no end token",
        "eos_token",
        m -> {
          delete(m, "tokenizer_config.json");
          delete(m, "special_tokens_map.json");
        });
    return kinds;
  }

  @TestFactory
  Stream<DynamicTest> isRefusedWithoutALargeAllocation() {
    assertThat(kinds()).hasSizeGreaterThan(25);
    return kinds().entrySet().stream()
        .map(
            kind ->
                DynamicTest.dynamicTest(
                    kind.getKey(), () -> refused(kind.getKey(), kind.getValue())));
  }

  private void refused(String name, Map.Entry<String, Damage> kind) throws IOException {
    Path model = sound(folder.resolve(name.replaceAll("\\W+", "-")));
    kind.getValue().to(model);
    ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
    long before = threads.getCurrentThreadAllocatedBytes();
    assertThatThrownBy(() -> LanguageModel.load(model))
        .isInstanceOf(JobFailure.class)
        .hasMessageStartingWith("Cannot ")
        .hasMessageContaining(model.toString())
        .hasMessageContaining(kind.getKey());
    assertThat(threads.getCurrentThreadAllocatedBytes() - before).isLessThan(MAX_ALLOCATION);
  }

  /** Bytes turned at random give a model or a message, and nothing else. */
  @Property(tries = 400)
  void noDamagedFileBreaksTheReader(@ForAll long seed) throws IOException {
    Path model = sound(Files.createTempDirectory("fuzz").resolve("model"));
    Random random = new Random(seed);
    String[] names = {CONFIG_FILE, WeightFiles.SINGLE, TOKENIZER, "tokenizer_config.json"};
    Path file = model.resolve(names[random.nextInt(names.length)]);
    byte[] content = Files.readAllBytes(file);
    for (int i = 0; i <= random.nextInt(8); i++) {
      content[random.nextInt(Math.min(content.length, 3000))] = (byte) random.nextInt(256);
    }
    Files.write(file, content);
    try {
      assertThat(LanguageModel.load(model).weights()).isNotEmpty();
    } catch (JobFailure e) {
      assertThat(e).hasMessageStartingWith("Cannot ");
    } finally {
      ModelDirectories.deleteTree(model.getParent());
    }
  }

  private static Path sound(Path model) {
    new LanguageModel(CONFIG, CONFIG.layout().initialWeights(3), TestTokenizers.bytes())
        .save(model, Map.of());
    return model;
  }

  private static void put(
      Map<String, Map.Entry<String, Damage>> kinds, String name, String message, Damage damage) {
    kinds.put(name, Map.entry(message, damage));
  }

  private static void delete(Path model, String name) throws IOException {
    Files.delete(model.resolve(name));
  }

  private static void folder(Path model, String name) throws IOException {
    delete(model, name);
    Files.createDirectory(model.resolve(name));
  }

  private static void link(Path model, String name) throws IOException {
    Path outside = model.resolveSibling(model.getFileName() + "-outside");
    Files.move(model.resolve(name), outside);
    Files.createSymbolicLink(model.resolve(name), outside);
  }

  private static void loop(Path model, String name) throws IOException {
    delete(model, name);
    Files.createSymbolicLink(model.resolve(name), Path.of(name));
  }

  private static void sparse(Path model, String name) throws IOException {
    try (RandomAccessFile file = new RandomAccessFile(model.resolve(name).toFile(), "rw")) {
      file.setLength(200_000_000_000L);
    }
  }

  private static void text(Path model, String name, String content) throws IOException {
    Files.write(model.resolve(name), content.getBytes(StandardCharsets.UTF_8));
  }

  private static void bytes(Path model, String name, byte... content) throws IOException {
    Files.write(model.resolve(name), content);
  }

  private static void config(Path model, String from, String to) throws IOException {
    String before = Files.readString(model.resolve(CONFIG_FILE));
    assertThat(before).contains(from);
    text(model, CONFIG_FILE, before.replace(from, to));
  }

  private static byte[] weights(Path model) {
    try {
      return Files.readAllBytes(model.resolve(WeightFiles.SINGLE));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static void cut(Path model, int bytes) throws IOException {
    byte[] all = weights(model);
    bytes(
        model,
        WeightFiles.SINGLE,
        Arrays.copyOf(all, bytes < all.length ? all.length - bytes : 20));
  }

  private static void headerLength(Path model, long length) throws IOException {
    byte[] all = weights(model);
    ByteBuffer.wrap(all).order(ByteOrder.LITTLE_ENDIAN).putLong(0, length);
    bytes(model, WeightFiles.SINGLE, all);
  }

  /** Replaces the first of its kind by a text of the same length. */
  private static void header(Path model, String from, String to) throws IOException {
    assertThat(to).hasSameSizeAs(from);
    String all = new String(weights(model), StandardCharsets.ISO_8859_1);
    int at = all.indexOf(from);
    assertThat(at).isPositive();
    String changed = all.substring(0, at) + to + all.substring(at + from.length());
    bytes(model, WeightFiles.SINGLE, changed.getBytes(StandardCharsets.ISO_8859_1));
  }

  private static void last(Path model, float value) throws IOException {
    byte[] all = weights(model);
    ByteBuffer.wrap(all).order(ByteOrder.LITTLE_ENDIAN).putFloat(all.length - 4, value);
    bytes(model, WeightFiles.SINGLE, all);
  }

  /** All weights in {@code a.safetensors}, and an index. */
  private static void index(Path model, String content) throws IOException {
    Files.move(model.resolve(WeightFiles.SINGLE), model.resolve("a.safetensors"));
    text(model, WeightFiles.INDEX, content);
  }

  private static String map(String file) {
    return "{\"weight_map\": {\"model.norm.weight\": \"" + file + "\"}}";
  }
}
