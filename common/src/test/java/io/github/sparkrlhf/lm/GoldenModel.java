package io.github.sparkrlhf.lm;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** A reference model of the golden files: small random weights and what transformers computed. */
public record GoldenModel(
    TransformerConfig config, float[] weights, JsonNode golden, Path directory) {

  /** Loads a case such as {@code llama}. */
  public static GoldenModel load(String name) {
    try {
      Path directory = Path.of(GoldenModel.class.getResource("/golden/" + name).toURI());
      TransformerConfig config = TransformerConfig.load(directory.resolve("config.json"));
      JsonNode golden =
          new ObjectMapper().readTree(Files.readString(directory.resolve("golden.json")));
      float[] weights = new float[config.layout().size()];
      read(config, directory.resolve("model.safetensors"), weights);
      return new GoldenModel(config, weights, golden, directory);
    } catch (IOException | URISyntaxException e) {
      throw new IllegalStateException(e);
    }
  }

  /** The model with a tokenizer that has nothing to do with it. */
  public LanguageModel languageModel() {
    return new LanguageModel(config, weights, TestTokenizers.bytes());
  }

  /** The reference gradients of the mean loss, flat. */
  public float[] gradients() {
    float[] gradients = new float[config.layout().size()];
    read(config, directory.resolve("grads.safetensors"), gradients);
    return gradients;
  }

  /** The rows of input_ids without padding. */
  public List<int[]> sequences() {
    List<int[]> sequences = new ArrayList<>();
    JsonNode lengths = golden.get("lengths");
    for (int row = 0; row < lengths.size(); row++) {
      int[] ids = new int[lengths.get(row).asInt()];
      for (int t = 0; t < ids.length; t++) {
        ids[t] = golden.get("input_ids").get(row).get(t).asInt();
      }
      sequences.add(ids);
    }
    return sequences;
  }

  /** A replica with the model's weights. */
  public Replica replica() {
    Replica replica = new Replica(config);
    replica.load(weights, 0);
    return replica;
  }

  private static void read(TransformerConfig config, Path file, float[] target) {
    try (Safetensors tensors = Safetensors.open(file)) {
      for (ParameterLayout.Parameter parameter : config.layout().parameters()) {
        tensors.readInto(parameter.name(), target, parameter.offset());
      }
    }
  }
}
