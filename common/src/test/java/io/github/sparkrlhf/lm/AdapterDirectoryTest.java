package io.github.sparkrlhf.lm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.sparkrlhf.spark.CounterRandom;
import io.github.sparkrlhf.spark.JobFailure;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Directories of adapters, against those under golden/lora, which PEFT 0.21.0 wrote for the models
 * beside them, with the outputs it computed (transformers 5.18.0) from base and adapters, unmerged.
 */
class AdapterDirectoryTest {
  private static final double TOLERANCE = 1e-5;

  @TempDir Path folder;

  @ParameterizedTest
  @ValueSource(strings = {"llama", "qwen2", "gpt2", "llama_rm"})
  void mergedAdaptersOfPeftGiveTheOutputsThatPeftComputesUnmerged(String name) throws IOException {
    GoldenModel model = GoldenModel.load(name);
    Path directory = golden(name);
    float[] merged = model.weights().clone();
    AdapterDirectory.merge(
        directory,
        AdapterConfig.load(directory.resolve(AdapterDirectory.CONFIG)),
        model.config(),
        merged);

    JsonNode expected =
        new ObjectMapper().readTree(directory.resolve("golden.json").toFile()).get("logits");
    List<int[]> sequences = model.sequences();
    double furthest = 0;
    for (int row = 0; row < sequences.size(); row++) {
      float[] base = outputs(model.config(), model.weights(), sequences.get(row));
      float[] found = outputs(model.config(), merged, sequences.get(row));
      // A classifier's golden output is the one at the last token.
      int skipped =
          model.config().head() == TransformerConfig.Head.CAUSAL_LM ? 0 : found.length - 1;
      for (int i = skipped; i < found.length; i++) {
        double value = expected.get(row).get(i - skipped).asDouble();
        assertThat((double) found[i])
            .as("row %d, output %d", row, i)
            .isCloseTo(value, within(TOLERANCE * Math.max(1, Math.abs(value))));
        furthest = Math.max(furthest, Math.abs(base[i] - value));
      }
    }
    assertThat(furthest).as("the adapters do something").isGreaterThan(0.05);
  }

  @ParameterizedTest
  @CsvSource({"llama, 'q_proj,v_proj,down_proj', 3", "gpt2, all-linear, 4", "llama_rm, o_proj, 4"})
  void namesShapesAndFieldsAreThoseOfPeft(String name, String targets, int rank)
      throws IOException {
    TransformerConfig config = GoldenModel.load(name).config();
    LoraAdapters adapters =
        new LoraAdapters(config, new Lora(rank, 8, List.of(targets.split(",", -1))));
    Map<String, String> expected = new TreeMap<>();
    try (Safetensors file = Safetensors.open(golden(name).resolve(AdapterDirectory.WEIGHTS))) {
      file.tensors().forEach(t -> expected.put(t.name(), Arrays.toString(t.shape())));
    }
    Map<String, String> found = new TreeMap<>();
    adapters.layout().tensors("").forEach(t -> found.put(t.name(), Arrays.toString(t.shape())));
    assertThat(found).isEqualTo(expected);

    ObjectMapper json = new ObjectMapper();
    JsonNode written = json.readTree(AdapterConfig.write(adapters, Path.of("/models/base")));
    JsonNode peft = json.readTree(Files.readString(golden(name).resolve(AdapterDirectory.CONFIG)));
    for (String field :
        List.of("peft_type", "task_type", "r", "bias", "fan_in_fan_out", "modules_to_save")) {
      assertThat(written.get(field)).as(field).isEqualTo(peft.get(field));
    }
    written.fieldNames().forEachRemaining(field -> assertThat(peft.has(field)).isTrue());
    assertThat(written.get("base_model_name_or_path").asText()).isEqualTo("/models/base");
  }

  /** Models that can be written and read: they have a tokenizer. */
  enum Shape {
    LLAMA(TransformerConfig.llama(259, 16, 24, 2, 2, 16)),
    REWARD(LLAMA.config.withHead(TransformerConfig.Head.SEQUENCE_CLASSIFICATION)),
    GPT2(
        new TransformerConfig(
            TransformerConfig.Family.GPT2,
            TransformerConfig.Head.CAUSAL_LM,
            259,
            16,
            24,
            2,
            2,
            2,
            8,
            1e-5,
            1,
            RopeScaling.NONE,
            16,
            true,
            true,
            true));

    private final TransformerConfig config;

    Shape(TransformerConfig config) {
      this.config = config;
    }
  }

  @ParameterizedTest
  @EnumSource
  void adaptersThatWereWrittenGiveTheOutputsOfTheModelWrittenMerged(Shape shape) {
    Written written = write(shape.config, "base", "adapters");
    float[] weights = written.base.weights().clone();
    written.adapters.merge(written.trained, 0, weights, 0);
    written.base.withWeights(weights).save(folder.resolve("merged"), Map.of());

    LanguageModel loaded = LanguageModel.load(folder.resolve("adapters"));
    LanguageModel merged = LanguageModel.load(folder.resolve("merged"));
    assertThat(loaded.config()).isEqualTo(merged.config());
    assertThat(loaded.tokenizer()).isEqualTo(merged.tokenizer());
    int[] sequence = {1, 77, 200, 5, 33};
    float[] expected = outputs(merged.config(), merged.weights(), sequence);
    float[] found = outputs(loaded.config(), loaded.weights(), sequence);
    for (int i = 0; i < expected.length; i++) {
      assertThat((double) found[i]).isCloseTo(expected[i], within(TOLERANCE));
    }
    assertThat(found).isNotEqualTo(outputs(merged.config(), written.base.weights(), sequence));
  }

  @Test
  void theScoreHeadOfAdaptersOnALanguageModelComesWithThem() {
    TransformerConfig trunk = Shape.LLAMA.config;
    model(trunk).save(folder.resolve("base"), Map.of());
    LanguageModel reward =
        model(trunk).withHead(TransformerConfig.Head.SEQUENCE_CLASSIFICATION, 99);
    LoraAdapters adapters = adapters(reward.config());
    float[] trained = adapters.initial(reward.weights(), 1);
    save(folder.resolve("adapters"), adapters, trained, folder.resolve("base"));

    LanguageModel loaded = LanguageModel.load(folder.resolve("adapters"));
    assertThat(loaded.config()).isEqualTo(reward.config());
    assertThat(loaded.weights()).isEqualTo(reward.weights());
  }

  @Test
  void aBaseThatHasChangedIsRefusedAndSoIsOneThatIsGone() {
    write(Shape.LLAMA.config, "base", "adapters");
    ModelDirectories.deleteTree(folder.resolve("base"));
    assertThatThrownBy(() -> LanguageModel.load(folder.resolve("adapters")))
        .isInstanceOf(JobFailure.class)
        .hasMessageContaining("is no directory here, and nothing is downloaded");
    LanguageModel base = model(Shape.LLAMA.config);
    base.weights()[5] += 1;
    base.save(folder.resolve("base"), Map.of());
    assertThatThrownBy(() -> LanguageModel.load(folder.resolve("adapters")))
        .isInstanceOf(JobFailure.class)
        .hasMessageContaining("is not the model that it was trained on");
  }

  @Test
  void theDigestOfAdaptersCoversTheirBase() {
    write(Shape.LLAMA.config, "base", "adapters");
    String before = ModelDirectories.digest(folder.resolve("adapters"));
    ModelDirectories.deleteTree(folder.resolve("base"));
    LanguageModel other = model(Shape.LLAMA.config);
    other.weights()[5] += 1;
    other.save(folder.resolve("base"), Map.of());
    assertThat(ModelDirectories.digest(folder.resolve("adapters"))).isNotEqualTo(before);
  }

  @Test
  void aRelativeBaseIsBesideTheAdapters() throws IOException {
    write(Shape.LLAMA.config, "base", "adapters");
    LanguageModel expected = LanguageModel.load(folder.resolve("adapters"));
    Path config = folder.resolve("adapters").resolve(AdapterDirectory.CONFIG);
    Files.writeString(
        config, Files.readString(config).replace(folder.resolve("base").toString(), "../base"));
    assertThat(LanguageModel.load(folder.resolve("adapters")).weights())
        .isEqualTo(expected.weights());
  }

  private record Written(LanguageModel base, LoraAdapters adapters, float[] trained) {}

  private Written write(TransformerConfig config, String base, String name) {
    LanguageModel model = model(config);
    model.save(folder.resolve(base), Map.of());
    LoraAdapters adapters = adapters(config);
    float[] trained = new float[adapters.layout().size()];
    CounterRandom random = new CounterRandom(3, "directory test");
    for (int i = 0; i < trained.length; i++) {
      trained[i] = (float) (0.3 * random.gaussian(i));
    }
    save(folder.resolve(name), adapters, trained, folder.resolve(base));
    return new Written(model, adapters, trained);
  }

  private static void save(Path directory, LoraAdapters adapters, float[] trained, Path base) {
    ModelDirectories.publish(
        directory,
        Map.of(AdapterDirectory.BASE_DIGEST, ModelDirectories.digest(base)),
        beside ->
            AdapterDirectory.writeFiles(beside, adapters, trained, base, TestTokenizers.bytes()));
  }

  private static LoraAdapters adapters(TransformerConfig config) {
    return new LoraAdapters(config, new Lora(2, 4, List.of(Lora.ALL_LINEAR)));
  }

  private static LanguageModel model(TransformerConfig config) {
    return new LanguageModel(config, config.layout().initialWeights(3), TestTokenizers.bytes());
  }

  private static Path golden(String name) {
    return GoldenModel.load(name).directory().resolveSibling("lora").resolve(name);
  }

  private static float[] outputs(TransformerConfig config, float[] weights, int[] sequence) {
    try (Replica replica = new Replica(config);
        GradMode ignored = GradMode.inference();
        NDManager manager = replica.newManager()) {
      replica.load(weights, 0);
      long[] ids = Arrays.stream(sequence).asLongStream().toArray();
      NDArray input = manager.create(ids).reshape(1, ids.length);
      return replica.forward(input, false).toFloatArray();
    }
  }
}
