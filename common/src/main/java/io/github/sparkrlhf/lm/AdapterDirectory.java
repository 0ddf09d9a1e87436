package io.github.sparkrlhf.lm;

import com.fasterxml.jackson.databind.JsonNode;
import io.github.sparkrlhf.spark.JobFailure;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;

/**
 * A directory of adapters as PEFT writes and reads it: {@value #CONFIG} names the base model,
 * {@value #WEIGHTS} holds A and B of each adapted matrix. The base is another directory on the same
 * machine, a whole model; nothing is ever downloaded.
 */
public final class AdapterDirectory {
  /** The key of the provenance that holds {@link ModelDirectories#digest} of the base. */
  public static final String BASE_DIGEST = "base_digest";

  static final String CONFIG = "adapter_config.json";
  static final String WEIGHTS = "adapter_model.safetensors";

  private static final String PROVENANCE = "rlhf.json";
  private static final String TOKENIZER = "tokenizer.json";

  private AdapterDirectory() {}

  /** Whether a directory holds adapters and not a whole model. */
  public static boolean isOne(Path directory) {
    return Files.exists(directory.resolve(CONFIG));
  }

  /**
   * The directory of the base of adapters; none if the directory holds no adapters.
   *
   * @throws JobFailure if it names none that is there, or another directory of adapters
   */
  static Optional<Path> base(Path directory) {
    return isOne(directory)
        ? Optional.of(base(directory, AdapterConfig.load(directory.resolve(CONFIG))))
        : Optional.empty();
  }

  private static Path base(Path directory, AdapterConfig config) {
    Path base;
    try {
      base = directory.resolve(config.base()).normalize();
    } catch (InvalidPathException e) {
      throw unusable(directory, "its base model '" + config.base() + "' is no path", e);
    }
    if (!Files.isDirectory(base)) {
      throw unusable(
          directory,
          "its base model '"
              + config.base()
              + "' is no directory here, and nothing is downloaded; let base_model_name_or_path"
              + " in "
              + CONFIG
              + " name its directory",
          null);
    }
    if (isOne(base)) {
      throw unusable(directory, "its base " + base + " holds adapters too, no whole model", null);
    }
    return base;
  }

  /**
   * Reads adapters and their base.
   *
   * @return the merged model
   * @throws JobFailure if either is malformed, they do not fit together, or the base is another one
   *     than the adapters were trained on
   */
  static LanguageModel load(Path directory) {
    AdapterConfig config = AdapterConfig.load(directory.resolve(CONFIG));
    Path baseDirectory = base(directory, config);
    requireSameBase(directory, baseDirectory);
    LanguageModel base = withHead(LanguageModel.load(baseDirectory), config, directory);
    merge(directory, config, base.config(), base.weights());
    return Files.exists(directory.resolve(TOKENIZER))
        ? new LanguageModel(
            base.config(), base.weights(), LanguageModel.tokenizer(directory, base.config()))
        : base;
  }

  /**
   * Adds the adapters to the weights of their base, in place.
   *
   * @throws JobFailure if they are malformed or do not fit
   */
  static void merge(
      Path directory, AdapterConfig config, TransformerConfig model, float[] weights) {
    try (WeightFiles tensors = WeightFiles.open(directory, WEIGHTS)) {
      LoraAdapters adapters = adapters(directory, model, config, tensors);
      adapters.merge(read(tensors, adapters.layout()), 0, weights, 0);
    }
    requireFinite(directory, model.layout(), weights);
  }

  private static LanguageModel withHead(LanguageModel base, AdapterConfig config, Path directory) {
    TransformerConfig.Head head = Objects.requireNonNullElse(config.head(), base.config().head());
    if (head == TransformerConfig.Head.CAUSAL_LM && head != base.config().head()) {
      throw unusable(directory, "its base is no language model", null);
    }
    // A new score head is overwritten: the adapters bring theirs.
    return base.withHead(head, 0);
  }

  private static LoraAdapters adapters(
      Path directory, TransformerConfig model, AdapterConfig config, WeightFiles tensors) {
    List<String> targets = config.targets();
    if (targets.isEmpty()) {
      // A pattern in place of names: the modules it has chosen stand in the file.
      targets =
          tensors.tensors().stream()
              .map(tensor -> LoraAdapters.moduleOf(tensor.name()))
              .filter(Objects::nonNull)
              .distinct()
              .toList();
    }
    if (targets.isEmpty()) {
      throw unusable(directory, WEIGHTS + " holds no adapters", null);
    }
    try {
      LoraAdapters adapters =
          new LoraAdapters(model, new Lora(config.rank(), config.alpha(), targets));
      Map<String, long[]> shapes = new LinkedHashMap<>();
      tensors.tensors().forEach(tensor -> shapes.put(tensor.name(), tensor.shape()));
      tensors.requireFit(shapes, adapters.layout());
      return adapters;
    } catch (JobFailure e) {
      throw unusable(directory, e.getMessage(), e);
    }
  }

  private static float[] read(WeightFiles tensors, ParameterLayout layout) {
    float[] trained = new float[layout.size()];
    for (ParameterLayout.Parameter parameter : layout.parameters()) {
      tensors.readInto(parameter.name(), trained, parameter.offset(), parameter.size());
    }
    return trained;
  }

  /** Finite factors can have a product that is not. */
  private static void requireFinite(Path directory, ParameterLayout layout, float[] weights) {
    for (ParameterLayout.Parameter parameter : layout.parameters()) {
      int end = parameter.offset() + parameter.size();
      for (int i = parameter.offset(); i < end; i++) {
        if (!Float.isFinite(weights[i])) {
          throw unusable(
              directory,
              "with them " + parameter.name() + " has weights that are not finite",
              null);
        }
      }
    }
  }

  /**
   * Checks that adapters of a model can be written without its weights, before it is trained.
   *
   * @param base the directory that the model was read from
   * @throws JobFailure of kind usage if they would need more than what stands there
   */
  public static void requireBase(Path base, LanguageModel model) {
    if (isOne(base)) {
      throw JobFailure.usage(
          "Cannot train adapters on "
              + base
              + ": it holds adapters itself; write a whole model with --lora-merge, there or here");
    }
    TransformerConfig stored = TransformerConfig.load(base.resolve("config.json"));
    if (stored.head() != model.config().head()
        && model.config().head() == TransformerConfig.Head.CAUSAL_LM) {
      throw JobFailure.usage(
          "Cannot train adapters on "
              + base
              + ": it is a reward model, and its language-model head would be lost; write a whole"
              + " model with --lora-merge");
    }
  }

  private static void requireSameBase(Path directory, Path base) {
    Path file = directory.resolve(PROVENANCE);
    if (!Files.exists(file)) {
      return;
    }
    JsonNode expected = ModelFiles.json(file).path(BASE_DIGEST);
    if (expected.isTextual() && !expected.asText().equals(ModelDirectories.digest(base))) {
      throw unusable(
          directory, "its base " + base + " is not the model that it was trained on", null);
    }
  }

  private static JobFailure unusable(Path directory, String why, Exception cause) {
    String message = "Cannot use adapters in " + directory + ": " + why;
    return cause == null ? JobFailure.failure(message) : JobFailure.failure(message, cause);
  }

  /**
   * Writes adapters into an existing directory, with the tokenizer.
   *
   * @param trained flat, in the order of the adapters' layout
   * @param base the directory of the base model, which is written down as an absolute path
   * @throws IOException if a file cannot be written
   */
  public static void writeFiles(
      Path directory, LoraAdapters adapters, float[] trained, Path base, TokenizerFile tokenizer)
      throws IOException {
    Files.writeString(
        directory.resolve(CONFIG),
        AdapterConfig.write(adapters, base.toAbsolutePath().normalize()));
    Safetensors.write(
        directory.resolve(WEIGHTS), adapters.layout().tensors(""), trained, Map.of("format", "pt"));
    tokenizer.save(directory);
  }
}
