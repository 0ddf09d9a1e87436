package io.github.sparkrlhf.lm;

import io.github.sparkrlhf.spark.JobFailure;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * A model as it stands in a Hugging Face directory: {@code config.json}, {@code model.safetensors},
 * the tokenizer's files, and {@code rlhf.json} with provenance. Only JSON and safetensors are ever
 * read.
 *
 * @param config the shape of the transformer
 * @param weights all weights, flat, in the order of {@link TransformerConfig#layout}
 * @param tokenizer the tokenizer's files
 */
public record LanguageModel(TransformerConfig config, float[] weights, TokenizerFile tokenizer) {
  private static final String CONFIG = "config.json";
  private static final String WEIGHTS = "model.safetensors";
  private static final int MAX_NAMES = 20;

  /**
   * Reads a model directory.
   *
   * @throws JobFailure if it does not exist, is malformed, or does not fit together
   */
  public static LanguageModel load(Path directory) {
    if (!Files.isDirectory(directory)) {
      throw JobFailure.usage("Cannot read model " + directory + ": there is no such directory");
    }
    TransformerConfig config = TransformerConfig.load(directory.resolve(CONFIG));
    float[] weights = readWeights(directory.resolve(WEIGHTS), config);
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
    return new LanguageModel(config, weights, tokenizer);
  }

  private static float[] readWeights(Path file, TransformerConfig config) {
    ParameterLayout layout = config.layout();
    try (Safetensors tensors = Safetensors.open(file)) {
      requireFit(file, tensors, config);
      // Only now: what the file really holds bounds what is allocated.
      float[] weights = new float[layout.size()];
      for (ParameterLayout.Parameter parameter : layout.parameters()) {
        tensors.readInto(parameter.name(), weights, parameter.offset());
      }
      return weights;
    }
  }

  /** Checks that the file has exactly the tensors of the configuration, in their shapes. */
  private static void requireFit(Path file, Safetensors tensors, TransformerConfig config) {
    Map<String, long[]> found = new LinkedHashMap<>();
    tensors.tensors().forEach(tensor -> found.put(tensor.name(), tensor.shape()));
    if (config.tiedEmbeddings()) {
      found.remove("lm_head.weight");
    }
    List<String> missing = new ArrayList<>();
    List<String> misshapen = new ArrayList<>();
    for (ParameterLayout.Parameter parameter : config.layout().parameters()) {
      long[] shape = found.remove(parameter.name());
      if (shape == null) {
        missing.add(parameter.name());
      } else if (!Arrays.equals(parameter.shape(), shape)) {
        misshapen.add(
            "%s has shape %s, the configuration says %s"
                .formatted(
                    parameter.name(), Arrays.toString(shape), Arrays.toString(parameter.shape())));
      }
    }
    if (!missing.isEmpty() || !found.isEmpty()) {
      throw JobFailure.failure(
          "Cannot use "
              + file
              + ": missing tensors "
              + abridged(missing)
              + ", unexpected "
              + abridged(List.copyOf(found.keySet())));
    }
    if (!misshapen.isEmpty()) {
      throw JobFailure.failure("Cannot use " + file + ": " + misshapen.get(0));
    }
  }

  private static String abridged(List<String> names) {
    return names.size() <= MAX_NAMES
        ? names.toString()
        : names.subList(0, MAX_NAMES) + " and " + (names.size() - MAX_NAMES) + " more";
  }

  /**
   * Writes the model to a directory that does not exist yet, all or nothing.
   *
   * @param provenance what {@code rlhf.json} says: parent model, inputs, configuration, metrics
   * @throws JobFailure if the directory exists or cannot be written
   */
  public void save(Path directory, Map<String, Object> provenance) {
    ModelDirectories.publish(directory, provenance, this::writeFiles);
  }

  /**
   * Writes the model's files into an existing directory.
   *
   * @throws IOException if a file cannot be written
   */
  public void writeFiles(Path directory) throws IOException {
    Files.writeString(
        directory.resolve(CONFIG),
        config.toJson(tokenizer.bosId(), tokenizer.eosId(), tokenizer.padId()));
    writeWeights(directory.resolve(WEIGHTS));
    tokenizer.save(directory);
  }

  private void writeWeights(Path file) {
    Safetensors.write(file, config.layout().tensors(""), weights, Map.of("format", "pt"));
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
