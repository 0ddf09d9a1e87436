package io.github.sparkrlhf.reward;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.sparkrlhf.lm.AdapterDirectory;
import io.github.sparkrlhf.lm.ModelDirectories;
import io.github.sparkrlhf.lm.ModelFiles;
import io.github.sparkrlhf.spark.JobFailure;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.BiFunction;

/** Reward models in directories: {@code reward.json} says of which kind they are. */
public final class RewardModels {
  /** The file that names the kind and holds its settings. */
  public static final String DESCRIPTION = "reward.json";

  static final String WEIGHTS = "model.safetensors";

  /** The most word buckets of dense features; trees and small networks read a few. */
  public static final int MAX_BUCKETS = 1 << 16;

  private static final int FORMAT = 1;
  private static final ObjectMapper JSON =
      new ObjectMapper().enable(SerializationFeature.INDENT_OUTPUT);

  /** What reads each kind, given the directory and its description. */
  private static final Map<String, BiFunction<Path, JsonNode, RewardModel>> LOADERS =
      new TreeMap<>(
          Map.of(
              BradleyTerryModel.KIND,
              BradleyTerryModel::load,
              ForestModel.RANDOM_FOREST,
              ForestModel::load,
              ForestModel.GRADIENT_BOOSTED,
              ForestModel::load,
              MlpModel.KIND,
              MlpModel::load,
              EnsembleModel.KIND,
              EnsembleModel::load,
              PipelineRewardModel.KIND,
              (directory, description) -> PipelineRewardModel.load(directory),
              TransformerRewardModel.KIND,
              (directory, description) -> TransformerRewardModel.load(directory)));

  private RewardModels() {}

  /**
   * Reads a reward model of any kind; a Hugging Face directory without our description is a
   * transformer.
   *
   * @throws JobFailure if the directory holds none, or one of an unknown kind or format
   */
  public static RewardModel load(Path directory) {
    boolean foreign = !Files.exists(directory.resolve(DESCRIPTION));
    if (foreign
        && (Files.exists(directory.resolve("config.json")) || AdapterDirectory.isOne(directory))) {
      return TransformerRewardModel.load(directory);
    }
    JsonNode description = description(directory);
    String kind = description.path("kind").asText();
    BiFunction<Path, JsonNode, RewardModel> loader = LOADERS.get(kind);
    if (loader == null) {
      throw JobFailure.failure(
          "Cannot read reward model in %s: its kind '%s' is none of %s"
              .formatted(directory, kind, LOADERS.keySet()));
    }
    if (description.path("format").asInt() != FORMAT) {
      throw JobFailure.failure(
          "Cannot read reward model in %s: its format is %s and this version reads %d"
              .formatted(directory, description.path("format"), FORMAT));
    }
    return loader.apply(directory, description);
  }

  /**
   * Writes a model and its calibration, beside the target and then renamed into place.
   *
   * @param calibration null if there is none
   * @param directory must not exist yet, unless the same run wrote it
   * @param provenance what {@code rlhf.json} says
   * @throws JobFailure if it exists or cannot be written; nothing is left behind
   */
  public static void save(
      RewardModel model, Calibration calibration, Path directory, Map<String, Object> provenance) {
    ModelDirectories.publish(
        directory,
        provenance,
        beside -> {
          ModelDirectories.deleteTree(beside);
          model.save(beside, provenance);
          if (calibration != null) {
            calibration.write(beside);
          }
        });
  }

  /** A description that names the kind; the kind adds its settings. */
  static ObjectNode header(String kind) {
    return JSON.createObjectNode().put("kind", kind).put("format", FORMAT);
  }

  /**
   * Writes a model directory that does not exist yet.
   *
   * @param files writes the model's other files into the directory that it is given
   */
  static void write(
      Path directory,
      Map<String, Object> provenance,
      ObjectNode description,
      ModelDirectories.Writer files) {
    ModelDirectories.publish(
        directory,
        provenance,
        beside -> {
          files.write(beside);
          Files.writeString(
              beside.resolve(DESCRIPTION), JSON.writeValueAsString(description) + "\n");
        });
  }

  /** Adds to a description which features the model reads. */
  static void putFeatures(ObjectNode description, DenseFeatures features) {
    description.put("buckets", features.buckets());
    TextStyle.NAMES.forEach(description.putArray("style_features")::add);
  }

  /**
   * The features that a description speaks of.
   *
   * @throws JobFailure if they are not those of this version
   */
  static DenseFeatures features(Path directory, JsonNode description) {
    int buckets = description.path("buckets").asInt(-1);
    List<String> names = new ArrayList<>();
    description.path("style_features").forEach(name -> names.add(name.asText()));
    if (buckets < 0 || buckets > MAX_BUCKETS || !names.equals(TextStyle.NAMES)) {
      throw JobFailure.failure(
          "Cannot read reward model in %s: its features are not those of this version"
              .formatted(directory));
    }
    return new DenseFeatures(buckets);
  }

  private static JsonNode description(Path directory) {
    Path file = directory.resolve(DESCRIPTION);
    if (!Files.isRegularFile(file)) {
      throw JobFailure.failure(
          "Cannot read reward model in %s: there is no %s".formatted(directory, DESCRIPTION));
    }
    return ModelFiles.json(file);
  }
}
