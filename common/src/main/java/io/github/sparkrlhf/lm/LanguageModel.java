package io.github.sparkrlhf.lm;

import io.github.sparkrlhf.spark.JobFailure;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

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
    float[] weights = new float[layout.size()];
    try (Safetensors tensors = Safetensors.open(file)) {
      Set<String> found = new LinkedHashSet<>();
      tensors.tensors().forEach(tensor -> found.add(tensor.name()));
      List<String> missing = new ArrayList<>();
      for (ParameterLayout.Parameter parameter : layout.parameters()) {
        if (!found.remove(parameter.name())) {
          missing.add(parameter.name());
        }
      }
      if (config.tiedEmbeddings()) {
        found.remove("lm_head.weight");
      }
      if (!missing.isEmpty() || !found.isEmpty()) {
        throw JobFailure.failure(
            "Cannot use " + file + ": missing tensors " + missing + ", unexpected " + found);
      }
      for (Safetensors.Tensor tensor : tensors.tensors()) {
        if (config.tiedEmbeddings() && tensor.name().equals("lm_head.weight")) {
          continue;
        }
        ParameterLayout.Parameter parameter = layout.parameter(tensor.name());
        if (!java.util.Arrays.equals(parameter.shape(), tensor.shape())) {
          throw JobFailure.failure(
              "Cannot use "
                  + file
                  + ": "
                  + tensor.name()
                  + " has shape "
                  + java.util.Arrays.toString(tensor.shape())
                  + ", the configuration says "
                  + java.util.Arrays.toString(parameter.shape()));
        }
        tensors.readInto(parameter.name(), weights, parameter.offset());
      }
    }
    return weights;
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
