package io.github.sparkrlhf.lm;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

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

    WeightFiles.write(folder, CONFIG.layout(), model.weights(), 9_000);

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
        directory, CONFIG.layout(), CONFIG.layout().initialWeights(3), WeightFiles.SHARD_BYTES);
    assertThat(directory.resolve(WeightFiles.SINGLE)).exists();
    assertThat(directory.resolve(WeightFiles.INDEX)).doesNotExist();
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
