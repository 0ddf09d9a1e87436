package io.github.sparkrlhf.lm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.sparkrlhf.spark.JobFailure;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class WeightFilesTest {
  private static final TransformerConfig CONFIG = TransformerConfig.llama(259, 16, 24, 2, 2, 16);

  @TempDir Path directory;

  @Test
  void whatIsCutIntoFilesIsReadAsWhole() throws IOException {
    LanguageModel model =
        new LanguageModel(CONFIG, CONFIG.layout().initialWeights(3), TestTokenizers.bytes());
    Path folder = directory.resolve("model");
    model.save(folder, Map.of());
    Files.delete(folder.resolve(WeightFiles.SINGLE));

    WeightFiles.write(folder, CONFIG.layout(), model.weights(), WeightType.F32, 9_000);

    List<String> shards = shards(folder);
    assertThat(shards).hasSizeGreaterThan(2).first().asString().startsWith("model-00001-of-0000");
    JsonNode index = new ObjectMapper().readTree(folder.resolve(WeightFiles.INDEX).toFile());
    assertThat(index.at("/metadata/total_size").asLong()).isEqualTo(4L * CONFIG.layout().size());
    assertThat(index.path("weight_map").size()).isEqualTo(CONFIG.layout().parameters().size());
    for (String shard : shards.subList(1, shards.size())) {
      assertThat(Files.size(folder.resolve(shard))).isLessThan(9_000 + 2_000);
    }
    assertThat(LanguageModel.load(folder).weights()).isEqualTo(model.weights());
  }

  @Test
  void aModelThatFitsStandsInOneFile() {
    WeightFiles.write(
        directory,
        CONFIG.layout(),
        CONFIG.layout().initialWeights(3),
        WeightType.F32,
        WeightFiles.SHARD_BYTES);
    assertThat(directory.resolve(WeightFiles.SINGLE)).exists();
    assertThat(directory.resolve(WeightFiles.INDEX)).doesNotExist();
  }

  @Test
  void bf16IsRoundedToNearestEvenAndStaysAsItIs() throws IOException {
    float[] weights = CONFIG.layout().initialWeights(3);
    float ulp = Math.scalb(1f, -7);
    float[] given = {1 + ulp / 2, 1 + 1.5f * ulp, 1 + 0.51f * ulp, -1 - 0.49f * ulp, -0f, 1e-40f};
    float[] rounded = {1, 1 + 2 * ulp, 1 + ulp, -1, -0f, Float.intBitsToFloat(1 << 16)};
    System.arraycopy(given, 0, weights, 0, given.length);
    LanguageModel model = new LanguageModel(CONFIG, weights, TestTokenizers.bytes());
    model.save(directory.resolve("first"), Map.of(), WeightType.BF16);

    LanguageModel loaded = LanguageModel.load(directory.resolve("first"));
    loaded.save(directory.resolve("second"), Map.of(), WeightType.BF16);

    assertThat(Arrays.copyOf(loaded.weights(), rounded.length)).isEqualTo(rounded);
    for (int i = given.length; i < weights.length; i++) {
      assertThat(loaded.weights()[i])
          .isCloseTo(weights[i], within(Math.ulp(weights[i]) * (1 << 15)));
    }
    for (String file : List.of(WeightFiles.SINGLE, "config.json")) {
      assertThat(directory.resolve("second").resolve(file))
          .hasSameBinaryContentAs(directory.resolve("first").resolve(file));
    }
    assertThat(directory.resolve("first").resolve("config.json"))
        .content()
        .contains("\"dtype\" : \"bfloat16\"", "\"torch_dtype\" : \"bfloat16\"");
    Path cut = directory.resolve("first");
    Files.delete(cut.resolve(WeightFiles.SINGLE));
    WeightFiles.write(cut, CONFIG.layout(), loaded.weights(), WeightType.BF16, 5_000);
    assertThat(shards(cut)).hasSizeGreaterThan(2);
    assertThat(LanguageModel.load(cut).weights()).isEqualTo(loaded.weights());
  }

  @ParameterizedTest
  @ValueSource(
      floats = {Float.NaN, Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY, Float.MAX_VALUE})
  void refusesWhatBf16CannotHold(float weight) {
    float[] weights = CONFIG.layout().initialWeights(3);
    weights[7] = weight;

    assertThatThrownBy(
            () ->
                WeightFiles.write(
                    directory, CONFIG.layout(), weights, WeightType.BF16, WeightFiles.SHARD_BYTES))
        .isInstanceOf(JobFailure.class)
        .hasMessageContaining("has no place in BF16");
    assertThat(directory).isEmptyDirectory();
  }

  private static List<String> shards(Path folder) throws IOException {
    try (Stream<Path> files = Files.list(folder)) {
      return files
          .map(file -> file.getFileName().toString())
          .filter(name -> name.endsWith(".safetensors"))
          .sorted()
          .toList();
    }
  }
}
