package io.github.sparkrlhf.lm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.sun.management.ThreadMXBean;
import io.github.sparkrlhf.spark.JobFailure;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.io.TempDir;

/** Directories of adapters as an attacker, a careless hand or another method leaves them. */
class HostileAdapterDirectoryTest {
  private static final TransformerConfig CONFIG = TransformerConfig.llama(259, 16, 24, 2, 2, 16);
  private static final String FILE = AdapterDirectory.CONFIG;
  private static final String WEIGHTS = AdapterDirectory.WEIGHTS;
  private static final long MAX_ALLOCATION = 64L << 20;

  @TempDir Path folder;

  private interface Damage {
    void to(Path adapters) throws IOException;
  }

  private final Map<String, Map.Entry<String, Damage>> kinds = new LinkedHashMap<>();

  private void putFiles() {
    put("no weights", "there is no such file", a -> Files.delete(a.resolve(WEIGHTS)));
    put("weights link outside", "outside of the model", a -> link(a, WEIGHTS));
    put("config links outside", "outside of the model", a -> link(a, FILE));
    put("config not JSON", "it is not JSON", a -> text(a, FILE, "import os"));
    put("config not UTF-8", "it is not UTF-8", a -> Files.write(a.resolve(FILE), new byte[] {-1}));
    put("config empty", "it has no peft_type", a -> text(a, FILE, "{}"));
    put("config a list", "it has no peft_type", a -> text(a, FILE, "[1]"));
    put("provenance not JSON", "it is not JSON", a -> text(a, "rlhf.json", "{"));
    put("weights truncated", "beyond the end of the file", this::truncate);
    put("a NaN", "contains NaN at", a -> last(a, Float.NaN));
    put("an infinite number", "contains -Infinity", a -> last(a, Float.NEGATIVE_INFINITY));
    put("finite factors, infinite product", "not finite", a -> last(a, Float.MAX_VALUE));
    put("another method", "peft_type \"IA3\"", a -> set(a, "peft_type", "\"LORA\"", "\"IA3\""));
    put("another task", "task_type", a -> set(a, "task_type", "\"CAUSAL_LM\"", "\"FEATURES\""));
    put(
        "a score that is not there",
        "missing tensors [base_model.model.score.weight]",
        this::score);
  }

  private void putFields() {
    put("r 0", "r 0 is not supported", a -> set(a, "r", "2", "0"));
    put("r -1", "r -1 is not supported", a -> set(a, "r", "2", "-1"));
    put("r 2.5", "r 2.5 is not supported", a -> set(a, "r", "2", "2.5"));
    put("r 2^31 - 1", "parameters", a -> set(a, "r", "2", "2147483647"));
    put("r 2^40", "r 1099511627776", a -> set(a, "r", "2", "1099511627776"));
    put("r 100 000", "has shape", a -> set(a, "r", "2", "100000"));
    put("another rank", "lora_A.weight has shape [2, 16]", a -> set(a, "r", "2", "3"));
    put("alpha infinite", "lora_alpha", a -> set(a, "lora_alpha", "1000.0", "1e999"));
    put("alpha a text", "lora_alpha", a -> set(a, "lora_alpha", "1000.0", "\"4\""));
    put("DoRA", "use_dora true", a -> set(a, "use_dora", "false", "true"));
    put("biases", "bias \"all\"", a -> set(a, "bias", "\"none\"", "\"all\""));
    put("ranks by layer", "rank_pattern", a -> set(a, "rank_pattern", "{ }", "{\"q_proj\": 4}"));
    put("alphas by layer", "alpha_pattern", a -> set(a, "alpha_pattern", "{ }", "{\"q\": 4}"));
    put("some layers", "layers_to_transform", a -> set(a, "layers_to_transform", "null", "[0]"));
    put("PiSSA", "init_lora_weights", a -> set(a, "init_lora_weights", "true", "\"pissa\""));
    put(
        "a field of tomorrow",
        "new_lora 7",
        a -> set(a, "use_dora", "false", "false, \"new_lora\": 7"));
    put(
        "embeddings in full",
        "modules_to_save",
        a -> set(a, "modules_to_save", "null", "[\"embed_tokens\"]"));
    put("no targets", "target_modules", a -> targets(a, ""));
    put("targets a number", "target_modules", a -> targets(a, "3"));
    put("an unknown target", "Cannot adapt 'x_proj'", a -> targets(a, "\"q_proj\", \"x_proj\""));
    put("the embedding", "Cannot adapt 'embed_tokens'", a -> targets(a, "\"embed_tokens\""));
    put("a target without tensors", "missing tensors [", a -> targets(a, "\"q_proj\", \"v_proj\""));
    put("tensors without target", "unexpected [base_model", a -> targets(a, "\"up_proj\""));
  }

  private void putBases() {
    put("a base elsewhere", "nothing is downloaded", a -> base(a, "meta-llama/Llama-2-7b-hf"));
    put("a base that is a file", "nothing is downloaded", a -> base(a, FILE));
    put("a base that is no path", "is no path", a -> base(a, "x\\u0000y"));
    put("no base", "base_model_name_or_path", a -> base(a, ""));
    put("a base that is itself", "holds adapters too", a -> base(a, "."));
    put("a base that is no model", "config.json: there is no such file", a -> base(a, ".."));
  }

  @TestFactory
  Stream<DynamicTest> isRefusedWithoutALargeAllocation() {
    putFiles();
    putFields();
    putBases();
    return kinds.entrySet().stream()
        .map(kind -> DynamicTest.dynamicTest(kind.getKey(), () -> refused(kind)));
  }

  private void refused(Map.Entry<String, Map.Entry<String, Damage>> kind) throws IOException {
    Path adapters = sound(kind.getKey().replaceAll("\\W+", "-"));
    assertThat(LanguageModel.load(adapters).weights()).isNotEmpty();
    kind.getValue().getValue().to(adapters);
    ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
    long before = threads.getCurrentThreadAllocatedBytes();
    assertThatThrownBy(() -> LanguageModel.load(adapters))
        .isInstanceOf(JobFailure.class)
        .hasMessageStartingWith("Cannot ")
        .hasMessageContaining(folder.toString())
        .hasMessageContaining(kind.getValue().getKey());
    assertThat(threads.getCurrentThreadAllocatedBytes() - before).isLessThan(MAX_ALLOCATION);
  }

  private void put(String name, String message, Damage damage) {
    kinds.put(name, Map.entry(message, damage));
  }

  private Path sound(String name) {
    Path base = folder.resolve(name + "-base");
    LanguageModel model =
        new LanguageModel(CONFIG, CONFIG.layout().initialWeights(3), TestTokenizers.bytes());
    model.save(base, Map.of());
    LoraAdapters adapters = new LoraAdapters(CONFIG, new Lora(2, 1000, List.of("q_proj")));
    float[] trained = new float[adapters.layout().size()];
    Arrays.fill(trained, 0.1f);
    Path directory = folder.resolve(name);
    ModelDirectories.publish(
        directory,
        Map.of(),
        beside -> AdapterDirectory.writeFiles(beside, adapters, trained, base, model.tokenizer()));
    return directory;
  }

  private static void text(Path adapters, String name, String content) throws IOException {
    Files.write(adapters.resolve(name), content.getBytes(StandardCharsets.UTF_8));
  }

  private static void set(Path adapters, String field, String from, String to) throws IOException {
    String before = Files.readString(adapters.resolve(FILE));
    String old = "\"" + field + "\" : " + from;
    assertThat(before).contains(old);
    text(adapters, FILE, before.replace(old, "\"" + field + "\" : " + to));
  }

  private static void targets(Path adapters, String targets) throws IOException {
    String modules = targets.equals("3") ? "3" : "[" + targets + "]";
    set(adapters, "target_modules", "[ \"q_proj\" ]", modules);
  }

  private static void base(Path adapters, String base) throws IOException {
    String before = Files.readString(adapters.resolve(FILE));
    text(
        adapters,
        FILE,
        before.replaceFirst(
            "(\"base_model_name_or_path\" : )\"[^\"]*\"",
            "$1\"" + base.replace("\\", "\\\\") + "\""));
  }

  private void score(Path adapters) throws IOException {
    set(adapters, "task_type", "\"CAUSAL_LM\"", "\"SEQ_CLS\"");
  }

  private static void link(Path adapters, String name) throws IOException {
    Path outside = adapters.resolveSibling(adapters.getFileName() + "-" + name);
    Files.move(adapters.resolve(name), outside);
    Files.createSymbolicLink(adapters.resolve(name), outside);
  }

  private void truncate(Path adapters) throws IOException {
    byte[] all = Files.readAllBytes(adapters.resolve(WEIGHTS));
    Files.write(adapters.resolve(WEIGHTS), Arrays.copyOf(all, all.length - 4));
  }

  private static void last(Path adapters, float value) throws IOException {
    byte[] all = Files.readAllBytes(adapters.resolve(WEIGHTS));
    ByteBuffer.wrap(all).order(ByteOrder.LITTLE_ENDIAN).putFloat(all.length - 4, value);
    Files.write(adapters.resolve(WEIGHTS), all);
  }
}
