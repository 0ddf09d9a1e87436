package io.github.sparkrlhf.jobs;

import io.github.sparkrlhf.lm.LanguageModel;
import io.github.sparkrlhf.lm.ModelDirectories;
import io.github.sparkrlhf.lm.Tokenizer;
import io.github.sparkrlhf.lm.TokenizerFile;
import io.github.sparkrlhf.lm.TransformerConfig;
import io.github.sparkrlhf.spark.JobFailure;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import picocli.CommandLine.Option;

/** Where a model's first weights come from: a checkpoint, or a new model of a given shape. */
final class ModelOptions {
  /** Names of the options that say where the weights come from. */
  static final Set<String> SOURCES = Set.of("model", "tokenizer");

  /** Names of the options that describe a new model. */
  static final Set<String> SIZES =
      Set.of("hidden-size", "intermediate-size", "layers", "heads", "max-length");

  /** A token that begins the text, one of the text, one that ends it. */
  private static final int MIN_LENGTH = 3;

  @Option(
      names = "--model",
      paramLabel = "DIR",
      description = "Model directory to start from; instead of --tokenizer and the sizes.")
  private Path model;

  @Option(
      names = "--tokenizer",
      paramLabel = "DIR",
      description = "Tokenizer directory of a new model.")
  private Path tokenizer;

  @Option(
      names = "--hidden-size",
      paramLabel = "N",
      defaultValue = "128",
      description = "Width of a new model (default: ${DEFAULT-VALUE}).")
  private int hiddenSize;

  @Option(
      names = "--intermediate-size",
      paramLabel = "N",
      description =
          "Width of a new model's feed-forward layers (default: 8/3 of the hidden size, rounded up to a multiple of 16).")
  private Integer intermediateSize;

  @Option(
      names = "--layers",
      paramLabel = "N",
      defaultValue = "4",
      description = "Layers of a new model (default: ${DEFAULT-VALUE}).")
  private int layers;

  @Option(
      names = "--heads",
      paramLabel = "N",
      defaultValue = "4",
      description = "Attention heads of a new model (default: ${DEFAULT-VALUE}).")
  private int heads;

  @Option(
      names = "--max-length",
      paramLabel = "TOKENS",
      defaultValue = "256",
      description =
          "Longest sequence of a new model, prompt and response together (default: ${DEFAULT-VALUE}).")
  private int maxLength;

  /** Checks the options; all of them apply to a new model, only {@code --model} to an old one. */
  void validate(Given given) {
    if (model != null) {
      given.refuse(List.of("tokenizer"), "--model has a tokenizer of its own; give one of the two");
      given.refuse(SIZES, "the model of --model has its sizes already");
      return;
    }
    if (tokenizer == null) {
      throw JobFailure.usage("Cannot make a model: give either --model or --tokenizer");
    }
    Given.requireCount("hidden-size", hiddenSize);
    Given.require(
        layers >= 1 && layers <= TransformerConfig.MAX_LAYERS,
        "layers",
        layers,
        "between 1 and " + TransformerConfig.MAX_LAYERS);
    Given.requireCount("heads", heads);
    Given.requireCount("intermediate-size", intermediate());
    Given.require(maxLength >= MIN_LENGTH, "max-length", maxLength, "at least " + MIN_LENGTH);
    if (hiddenSize % heads != 0 || hiddenSize / heads % 2 != 0) {
      throw JobFailure.usage(
          "Cannot make a model: --hidden-size %d is not an even multiple of --heads %d"
              .formatted(hiddenSize, heads));
    }
  }

  /** Names of the options that say nothing about this model. */
  Set<String> outsideIdentity() {
    return model != null ? SIZES : Set.of();
  }

  List<String> fingerprints() {
    return List.of(ModelDirectories.digest(model != null ? model : tokenizer));
  }

  /** The model to start from, with the head that is wanted. */
  LanguageModel load(TransformerConfig.Head head, long seed) {
    if (model != null) {
      return LanguageModel.load(model).withHead(head, seed);
    }
    TokenizerFile file = TokenizerFile.load(tokenizer);
    TransformerConfig config =
        TransformerConfig.llama(
                Tokenizer.of(file).vocabularySize(),
                hiddenSize,
                intermediate(),
                layers,
                heads,
                maxLength)
            .withHead(head);
    return new LanguageModel(config, config.layout().initialWeights(seed), file);
  }

  /** The directory of the model to start from; null for a new model. */
  Path directory() {
    return model;
  }

  /** What stands in the provenance as the parent. */
  String parent() {
    return String.valueOf(model != null ? model : tokenizer);
  }

  private int intermediate() {
    if (intermediateSize != null) {
      return intermediateSize;
    }
    return (int) Math.min(Integer.MAX_VALUE, (hiddenSize * 8L / 3 + 15) / 16 * 16);
  }
}
