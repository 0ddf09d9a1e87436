package io.github.sparkrlhf.lm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.sparkrlhf.spark.JobFailure;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class LanguageModelTest {
  private static final TokenizerFile TOKENIZER = TestTokenizers.bytes();
  private static final TransformerConfig TIED = TransformerConfig.llama(259, 16, 24, 2, 2, 16);

  @TempDir Path directory;

  /** The shapes that differ in their tensors. */
  enum Shape {
    TIED(LanguageModelTest.TIED),
    UNTIED(untied(TransformerConfig.Family.LLAMA, false)),
    QWEN2(untied(TransformerConfig.Family.QWEN2, true)),
    GPT2(gpt2()),
    GPT2_REWARD(gpt2().withHead(TransformerConfig.Head.SEQUENCE_CLASSIFICATION)),
    REWARD(LanguageModelTest.TIED.withHead(TransformerConfig.Head.SEQUENCE_CLASSIFICATION));

    private final TransformerConfig config;

    Shape(TransformerConfig config) {
      this.config = config;
    }
  }

  @ParameterizedTest
  @EnumSource
  void whatIsSavedIsLoadedAndSavedAgainByteByByte(Shape shape) throws IOException {
    LanguageModel model = model(shape.config);
    model.save(directory.resolve("first"), Map.of("run_id", "r"));
    LanguageModel loaded = LanguageModel.load(directory.resolve("first"));
    assertThat(loaded.config()).isEqualTo(shape.config);
    assertThat(loaded.weights()).isEqualTo(model.weights());
    assertThat(loaded.tokenizer()).isEqualTo(TOKENIZER);
    loaded.save(directory.resolve("second"), Map.of("run_id", "r"));
    assertThat(names("first"))
        .contains("config.json", "model.safetensors", "tokenizer.json", "rlhf.json")
        .isEqualTo(names("second"));
    for (String name : names("first")) {
      assertThat(directory.resolve("second").resolve(name))
          .hasSameBinaryContentAs(directory.resolve("first").resolve(name));
    }
  }

  @Test
  void tiedEmbeddingsStandInTheFileOnce() {
    model(TIED).save(directory.resolve("tied"), Map.of());
    model(Shape.UNTIED.config).save(directory.resolve("untied"), Map.of());
    assertThat(tensors("tied"))
        .contains("model.embed_tokens.weight")
        .doesNotContain("lm_head.weight");
    assertThat(tensors("untied")).contains("model.embed_tokens.weight", "lm_head.weight");
  }

  @Test
  void aCopyOfTiedEmbeddingsIsIgnored() {
    LanguageModel model = model(TIED);
    model.save(directory.resolve("model"), Map.of());
    List<Safetensors.Tensor> tensors = new ArrayList<>(TIED.layout().tensors(""));
    tensors.add(new Safetensors.Tensor("lm_head.weight", new long[] {259, 16}, "F32"));
    float[] weights = Arrays.copyOf(model.weights(), model.weights().length + 259 * 16);
    Arrays.fill(weights, model.weights().length, weights.length, 7);
    rewrite("model", tensors, weights);
    assertThat(LanguageModel.load(directory.resolve("model")).weights()).isEqualTo(model.weights());
  }

  @Test
  void namesOfGpt2MayLackTheirPrefixAndTheFileMayHoldItsMask() {
    LanguageModel model = model(gpt2());
    model.save(directory.resolve("model"), Map.of());
    List<Safetensors.Tensor> tensors = new ArrayList<>();
    for (Safetensors.Tensor tensor : gpt2().layout().tensors("")) {
      String bare = tensor.name().replaceFirst("^transformer\\.", "");
      tensors.add(new Safetensors.Tensor(bare, tensor.shape(), "F32"));
    }
    tensors.add(new Safetensors.Tensor("h.0.attn.bias", new long[] {1, 1, 4, 4}, "F32"));
    float[] weights = Arrays.copyOf(model.weights(), model.weights().length + 16);
    rewrite("model", tensors, weights);
    assertThat(LanguageModel.load(directory.resolve("model")).weights()).isEqualTo(model.weights());
  }

  @Test
  void missingAndUnexpectedTensorsAreListed() {
    model(TIED).save(directory.resolve("model"), Map.of());
    List<Safetensors.Tensor> tensors = new ArrayList<>();
    for (Safetensors.Tensor tensor : TIED.layout().tensors("")) {
      String name =
          switch (tensor.name()) {
            case "model.norm.weight" -> "model.final_norm.weight";
            case "model.layers.1.input_layernorm.weight" -> "model.layers.7.norm.weight";
            default -> tensor.name();
          };
      tensors.add(new Safetensors.Tensor(name, tensor.shape(), "F32"));
    }
    rewrite("model", tensors, model(TIED).weights());
    assertThatThrownBy(() -> LanguageModel.load(directory.resolve("model")))
        .isInstanceOf(JobFailure.class)
        .hasMessageStartingWith("Cannot use " + directory.resolve("model/model.safetensors"))
        .hasMessageContaining(
            "missing tensors [model.layers.1.input_layernorm.weight, model.norm.weight]")
        .hasMessageContaining("model.final_norm.weight")
        .hasMessageContaining("model.layers.7.norm.weight");
  }

  @Test
  void aTensorOfAnotherShapeIsNamedWithBothShapes() {
    model(TIED).save(directory.resolve("model"), Map.of());
    List<Safetensors.Tensor> tensors = new ArrayList<>();
    for (Safetensors.Tensor tensor : TIED.layout().tensors("")) {
      boolean embedding = tensor.name().equals("model.embed_tokens.weight");
      long[] shape = embedding ? new long[] {16, 259} : tensor.shape();
      tensors.add(new Safetensors.Tensor(tensor.name(), shape, "F32"));
    }
    rewrite("model", tensors, model(TIED).weights());
    assertThatThrownBy(() -> LanguageModel.load(directory.resolve("model")))
        .isInstanceOf(JobFailure.class)
        .hasMessageEndingWith(
            "model.embed_tokens.weight has shape [16, 259], the configuration says [259, 16]");
  }

  @Test
  void aConfigurationLargerThanItsFileIsRefusedBeforeItsWeightsAreAllocated() throws IOException {
    model(TIED).save(directory.resolve("model"), Map.of());
    Path config = directory.resolve("model/config.json");
    String widest = "\"vocab_size\" : 134000000";
    Files.writeString(config, Files.readString(config).replace("\"vocab_size\" : 259", widest));
    assertThat(Files.readString(config)).contains(widest);
    assertThatThrownBy(() -> LanguageModel.load(directory.resolve("model")))
        .isInstanceOf(JobFailure.class)
        .hasMessageEndingWith(
            "model.embed_tokens.weight has shape [259, 16], the configuration says [134000000, 16]");
  }

  @Test
  void aTokenizerWithMoreTokensThanTheEmbeddingIsRefused() {
    TransformerConfig small = TransformerConfig.llama(200, 16, 24, 2, 2, 16);
    model(small).save(directory.resolve("model"), Map.of());
    assertThatThrownBy(() -> LanguageModel.load(directory.resolve("model")))
        .isInstanceOf(JobFailure.class)
        .hasMessageEndingWith("its tokenizer has 259 tokens and its embedding only 200");
  }

  @Test
  void aMissingDirectoryIsAUsageError() {
    assertThatThrownBy(() -> LanguageModel.load(directory.resolve("nowhere")))
        .isInstanceOfSatisfying(
            JobFailure.class, e -> assertThat(e.kind()).isEqualTo(JobFailure.Kind.USAGE))
        .hasMessageEndingWith("nowhere: there is no such directory");
  }

  @Test
  void anotherHeadKeepsTheTrunkAndDrawsTheScoresFromTheSeed() {
    LanguageModel model = model(TIED);
    LanguageModel reward = model.withHead(TransformerConfig.Head.SEQUENCE_CLASSIFICATION, 1);
    int trunk = reward.config().layout().parameter("score.weight").offset();
    assertThat(trunk).isEqualTo(TIED.layout().size());
    assertThat(Arrays.copyOf(reward.weights(), trunk)).isEqualTo(model.weights());
    assertThat(Arrays.copyOfRange(reward.weights(), trunk, trunk + 16)).doesNotContain(0f);
    assertThat(model.withHead(TransformerConfig.Head.SEQUENCE_CLASSIFICATION, 1).weights())
        .isEqualTo(reward.weights());
    assertThat(model.withHead(TransformerConfig.Head.SEQUENCE_CLASSIFICATION, 2).weights())
        .isNotEqualTo(reward.weights());
    assertThat(reward.withHead(TransformerConfig.Head.SEQUENCE_CLASSIFICATION, 2)).isSameAs(reward);
  }

  private static TransformerConfig untied(TransformerConfig.Family family, boolean attentionBias) {
    return new TransformerConfig(
        family,
        TransformerConfig.Head.CAUSAL_LM,
        259,
        16,
        24,
        2,
        4,
        2,
        4,
        1e-5,
        20_000,
        RopeScaling.NONE,
        64,
        false,
        attentionBias,
        false);
  }

  private static TransformerConfig gpt2() {
    return new TransformerConfig(
        TransformerConfig.Family.GPT2,
        TransformerConfig.Head.CAUSAL_LM,
        259,
        16,
        64,
        2,
        4,
        4,
        4,
        1e-5,
        1,
        RopeScaling.NONE,
        32,
        true,
        true,
        true);
  }

  private static LanguageModel model(TransformerConfig config) {
    return new LanguageModel(config, config.layout().initialWeights(11), TOKENIZER);
  }

  private void rewrite(String model, List<Safetensors.Tensor> tensors, float[] weights) {
    Path file = directory.resolve(model).resolve("model.safetensors");
    try {
      Files.delete(file);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    Safetensors.write(file, tensors, weights, Map.of("format", "pt"));
  }

  private List<String> tensors(String model) {
    try (Safetensors file =
        Safetensors.open(directory.resolve(model).resolve("model.safetensors"))) {
      return file.tensors().stream().map(Safetensors.Tensor::name).toList();
    }
  }

  private List<String> names(String model) throws IOException {
    try (Stream<Path> files = Files.list(directory.resolve(model))) {
      return files.map(file -> file.getFileName().toString()).sorted().toList();
    }
  }
}
