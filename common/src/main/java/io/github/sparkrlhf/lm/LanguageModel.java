package io.github.sparkrlhf.lm;

import io.github.sparkrlhf.spark.JobFailure;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.regex.Pattern;

/**
 * A model as it stands in a Hugging Face directory: {@code config.json}, {@code model.safetensors}
 * or several such files, the tokenizer's files, and {@code rlhf.json} with provenance. Only JSON
 * and safetensors are ever read.
 *
 * @param config the shape of the transformer
 * @param weights all weights, flat, in the order of {@link TransformerConfig#layout}
 * @param tokenizer the tokenizer's files
 */
public record LanguageModel(TransformerConfig config, float[] weights, TokenizerFile tokenizer) {
  private static final String CONFIG = "config.json";
  private static final Pattern GPT2_BARE = Pattern.compile("(?:wte|wpe|h|ln_f)\\.");
  private static final Pattern GPT2_MASK =
      Pattern.compile("(?:transformer\\.)?h\\.\\d+\\.attn\\.(?:bias|masked_bias)");

  /**
   * Reads a model directory, or a directory of adapters together with its base, merged.
   *
   * @throws JobFailure if it does not exist, is malformed, or does not fit together
   */
  public static LanguageModel load(Path directory) {
    if (!Files.isDirectory(directory)) {
      throw JobFailure.usage("Cannot read model " + directory + ": there is no such directory");
    }
    if (AdapterDirectory.isOne(directory)) {
      return AdapterDirectory.load(directory);
    }
    TransformerConfig config = TransformerConfig.load(directory.resolve(CONFIG));
    float[] weights = readWeights(directory, config);
    return new LanguageModel(config, weights, tokenizer(directory, config));
  }

  /**
   * The tokenizer of a directory.
   *
   * @throws JobFailure if it cannot be read, or has more tokens than the model
   */
  static TokenizerFile tokenizer(Path directory, TransformerConfig config) {
    TokenizerFile tokenizer = TokenizerFile.load(directory);
    int tokens = Tokenizer.of(tokenizer).vocabularySize();
    if (tokens > config.vocabularySize()) {
      throw JobFailure.failure(
          "Cannot use model "
              + directory
              + ": its tokenizer has "
              + tokens
              + " tokens and its embedding only "
              + config.vocabularySize());
    }
    return tokenizer;
  }

  private static float[] readWeights(Path directory, TransformerConfig config) {
    ParameterLayout layout = config.layout();
    try (WeightFiles tensors = WeightFiles.open(directory)) {
      requireFit(tensors, config);
      // Only now: what the file really holds bounds what is allocated.
      float[] weights = new float[layout.size()];
      Map<String, String> stored = storedNames(tensors, config);
      for (ParameterLayout.Parameter parameter : layout.parameters()) {
        tensors.readInto(
            stored.get(parameter.name()), weights, parameter.offset(), parameter.size());
      }
      return weights;
    }
  }

  /**
   * The names of the tensors in the file by the names that they have here. The oldest files of
   * GPT-2 name the trunk's tensors without prefix, and hold its attention mask as well.
   */
  private static Map<String, String> storedNames(WeightFiles tensors, TransformerConfig config) {
    Map<String, String> names = new LinkedHashMap<>();
    for (Safetensors.Tensor tensor : tensors.tensors()) {
      String name = tensor.name();
      boolean gpt2 = config.family() == TransformerConfig.Family.GPT2;
      if (gpt2 && GPT2_MASK.matcher(name).matches()) {
        continue;
      }
      names.put(
          gpt2 && GPT2_BARE.matcher(name).lookingAt() ? config.family().prefix() + name : name,
          name);
    }
    return names;
  }

  /** Checks that the file has exactly the tensors of the configuration, in their shapes. */
  private static void requireFit(WeightFiles tensors, TransformerConfig config) {
    Map<String, long[]> shapes = new LinkedHashMap<>();
    tensors.tensors().forEach(tensor -> shapes.put(tensor.name(), tensor.shape()));
    Map<String, long[]> found = new LinkedHashMap<>();
    storedNames(tensors, config).forEach((name, stored) -> found.put(name, shapes.get(stored)));
    if (config.tiedEmbeddings()) {
      found.remove("lm_head.weight");
    }
    tensors.requireFit(found, config.layout());
  }

  /**
   * Writes the model to a directory that does not exist yet, all or nothing.
   *
   * @param provenance what {@code rlhf.json} says: parent model, inputs, configuration, metrics
   * @param type of the weights in the file
   * @throws JobFailure if the directory exists or cannot be written
   */
  public void save(Path directory, Map<String, Object> provenance, WeightType type) {
    ModelDirectories.publish(directory, provenance, files -> writeFiles(files, type));
  }

  /** Writes the model with its weights as they are, F32. */
  public void save(Path directory, Map<String, Object> provenance) {
    save(directory, provenance, WeightType.F32);
  }

  /**
   * Writes the model's files into an existing directory.
   *
   * @param type of the weights in the file
   * @throws IOException if a file cannot be written
   */
  public void writeFiles(Path directory, WeightType type) throws IOException {
    Files.writeString(
        directory.resolve(CONFIG),
        config.toJson(tokenizer.bosId(), tokenizer.eosId(), tokenizer.padId(), type));
    WeightFiles.write(directory, config.layout(), weights, type, WeightFiles.SHARD_BYTES);
    tokenizer.save(directory);
  }

  /**
   * The same trunk under a head; this model itself if it has that head.
   *
   * @param seed of the head's weights where they are new
   */
  public LanguageModel withHead(TransformerConfig.Head head, long seed) {
    if (config.head() == head) {
      return this;
    }
    TransformerConfig other = config.withHead(head);
    float[] otherWeights = other.layout().initialWeights(seed);
    other.layout().copyShared(config.layout(), weights, otherWeights);
    return new LanguageModel(other, otherWeights, tokenizer);
  }

  /** The same tokenizer and configuration with other weights. */
  public LanguageModel withWeights(float[] newWeights) {
    return new LanguageModel(config, newWeights, tokenizer);
  }
}
