package io.github.sparkrlhf.jobs;

import io.github.sparkrlhf.lm.LanguageModel;
import io.github.sparkrlhf.lm.ModelDirectories;
import io.github.sparkrlhf.lm.Tokenizer;
import io.github.sparkrlhf.lm.TokenizerFile;
import io.github.sparkrlhf.lm.TransformerConfig;
import io.github.sparkrlhf.spark.JobFailure;
import java.nio.file.Path;
import java.util.List;
import picocli.CommandLine.Option;

/** Where a model's first weights come from: a checkpoint, or a new model of a given shape. */
final class ModelOptions {
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

  List<String> fingerprints() {
    require();
    return List.of(ModelDirectories.digest(model != null ? model : tokenizer));
  }

  /** The model to start from, with the head that is wanted. */
  LanguageModel load(TransformerConfig.Head head, long seed) {
    require();
    if (model != null) {
      return LanguageModel.load(model).withHead(head, seed);
    }
    TokenizerFile file = TokenizerFile.load(tokenizer);
    if (hiddenSize % heads != 0 || hiddenSize / heads % 2 != 0) {
      throw JobFailure.usage(
          "Cannot make a model: --hidden-size %d is not an even multiple of --heads %d"
              .formatted(hiddenSize, heads));
    }
    int intermediate =
        intermediateSize != null ? intermediateSize : (hiddenSize * 8 / 3 + 15) / 16 * 16;
    TransformerConfig config =
        TransformerConfig.llama(
                Tokenizer.of(file).vocabularySize(),
                hiddenSize,
                intermediate,
                layers,
                heads,
                maxLength)
            .withHead(head);
    return new LanguageModel(config, config.layout().initialWeights(seed), file);
  }

  /** What stands in the provenance as the parent. */
  String parent() {
    return String.valueOf(model != null ? model : tokenizer);
  }

  private void require() {
    if ((model == null) == (tokenizer == null)) {
      throw JobFailure.usage("Cannot make a model: give either --model or --tokenizer");
    }
  }
}
