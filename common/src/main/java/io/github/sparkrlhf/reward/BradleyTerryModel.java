package io.github.sparkrlhf.reward;

import static java.util.stream.Collectors.toSet;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.sparkrlhf.lm.Safetensors;
import io.github.sparkrlhf.spark.JobFailure;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.IntStream;
import org.apache.spark.ml.linalg.SparseVector;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;

/**
 * The linear model of Bradley and Terry (1952): a response's reward is the weighted sum of its
 * features, and the log-odds that people prefer one response to another are the difference of the
 * two rewards.
 */
public final class BradleyTerryModel extends TextRewardModel {
  /** The name of the kind. */
  public static final String KIND = "bradley-terry";

  private static final String NUMBER_WEIGHT = "number.weight";
  private static final String NUMBER_MEAN = "number.mean";
  private static final String NUMBER_SCALE = "number.scale";
  private static final String BUCKET_WEIGHT = "bucket.weight";
  private static final String BUCKET_IDF = "bucket.idf";

  /** The directory of the language model, if there are states among the features. */
  private static final String STATES = "states";

  /** The most buckets of a block that a directory is believed to have. */
  private static final int MAX_BUCKETS = 1 << 24;

  private final TextFeatures features;
  private final HiddenStates states;
  private final float[] weights;

  BradleyTerryModel(TextFeatures features, HiddenStates states, float[] weights) {
    super((prompt, response) -> score(features, states, weights, prompt, response));
    if (weights.length != features.size()) {
      throw new IllegalArgumentException("one weight for each feature");
    }
    this.features = features;
    this.states = states;
    this.weights = weights;
  }

  @Override
  public String kind() {
    return KIND;
  }

  /**
   * {@inheritDoc}
   *
   * <p>Of a number: how much a standard difference in it moves the log-odds. Of a bucket: how much
   * a response that has nothing else in the bucket's block moves them.
   */
  @Override
  public List<FeatureWeight> featureWeights(Dataset<Row> texts, int most) {
    TextFeatures.Settings settings = features.settings();
    int firstBucket = settings.firstBucket();
    double[] effective = features.blockWeights();
    for (int i = 0; i < effective.length; i++) {
      effective[i] *= weights[i];
    }
    List<Integer> greatest =
        IntStream.range(0, weights.length)
            .boxed()
            .sorted(Comparator.<Integer>comparingDouble(i -> -Math.abs(effective[i])))
            .limit(most)
            .toList();
    Set<Integer> buckets =
        greatest.stream().filter(i -> i >= firstBucket).map(i -> i - firstBucket).collect(toSet());
    Map<Integer, List<String>> terms =
        BucketTerms.of(
            texts,
            buckets,
            (prompt, response) ->
                TextFeatures.terms(
                    settings, TextFeatures.words(prompt), TextFeatures.words(response)));
    return greatest.stream()
        .map(
            i ->
                new FeatureWeight(
                    settings.name(i), effective[i], terms.getOrDefault(i - firstBucket, List.of())))
        .toList();
  }

  private static double score(
      TextFeatures features, HiddenStates states, float[] weights, String prompt, String response) {
    SparseVector vector =
        features.of(TextFeatures.counts(features.settings(), states, prompt, response));
    double sum = 0;
    for (int i = 0; i < vector.indices().length; i++) {
      sum += vector.values()[i] * weights[vector.indices()[i]];
    }
    return sum;
  }

  @Override
  public void save(Path directory, Map<String, Object> provenance) {
    int firstBucket = features.settings().firstBucket();
    ObjectNode json = RewardModels.header(KIND);
    ArrayNode blocks = json.putArray("features");
    features.settings().blocks().forEach(block -> blocks.add(block.toString()));
    json.put("buckets", features.settings().buckets());
    features.settings().names().forEach(json.putArray("numbers")::add);
    RewardModels.write(
        directory,
        provenance,
        json,
        beside -> {
          Safetensors.writeVectors(
              beside.resolve(RewardModels.WEIGHTS),
              filled(
                  NUMBER_WEIGHT, Arrays.copyOf(weights, firstBucket),
                  NUMBER_MEAN, features.scaling().mean(),
                  NUMBER_SCALE, features.scaling().scale(),
                  BUCKET_WEIGHT, Arrays.copyOfRange(weights, firstBucket, weights.length),
                  BUCKET_IDF, features.scaling().idf()),
              Map.of("format", "pt"));
          if (states.size() > 0) {
            states.writeFiles(Files.createDirectory(beside.resolve(STATES)));
          }
        });
  }

  /** Tensors by name; what the features have none of is left out. */
  private static Map<String, float[]> filled(Object... namesAndTensors) {
    Map<String, float[]> tensors = new TreeMap<>();
    for (int i = 0; i < namesAndTensors.length; i += 2) {
      float[] tensor = (float[]) namesAndTensors[i + 1];
      if (tensor.length > 0) {
        tensors.put((String) namesAndTensors[i], tensor);
      }
    }
    return tensors;
  }

  /** Reads what {@link #save} wrote. */
  static BradleyTerryModel load(Path directory, JsonNode json) {
    TextFeatures.Settings settings = settings(directory, json);
    int numbers = settings.names().size();
    int buckets = settings.hashed().size() * settings.buckets();
    int firstBucket = settings.firstBucket();
    float[] weights = new float[settings.size()];
    float[] mean = new float[numbers];
    float[] scale = new float[numbers];
    float[] idf = new float[buckets];
    try (Safetensors file = Safetensors.open(directory.resolve(RewardModels.WEIGHTS))) {
      read(file, directory, NUMBER_WEIGHT, firstBucket, weights, 0);
      read(file, directory, NUMBER_MEAN, numbers, mean, 0);
      read(file, directory, NUMBER_SCALE, numbers, scale, 0);
      read(file, directory, BUCKET_WEIGHT, buckets, weights, firstBucket);
      read(file, directory, BUCKET_IDF, buckets, idf, 0);
    }
    return new BradleyTerryModel(
        new TextFeatures(settings, new TextFeatures.Scaling(mean, scale, idf)),
        states(directory, settings),
        weights);
  }

  private static HiddenStates states(Path directory, TextFeatures.Settings settings) {
    for (FeatureBlock block : settings.blocks()) {
      if (block.kind() == FeatureBlock.Kind.STATES) {
        HiddenStates states = HiddenStates.load(directory.resolve(STATES));
        if (states.size() != block.names().size()) {
          throw JobFailure.failure(
              "Cannot read reward model in %s: its states have %d numbers and its language model makes %d"
                  .formatted(directory, block.names().size(), states.size()));
        }
        return states;
      }
    }
    return HiddenStates.NONE;
  }

  private static TextFeatures.Settings settings(Path directory, JsonNode json) {
    List<String> blocks = texts(json.path("features"));
    List<String> names = texts(json.path("numbers"));
    int buckets = json.path("buckets").asInt();
    try {
      TextFeatures.Settings settings =
          new TextFeatures.Settings(FeatureBlock.parse(String.join(",", blocks)), buckets);
      if (buckets <= MAX_BUCKETS && settings.names().equals(names)) {
        return settings;
      }
    } catch (IllegalArgumentException | JobFailure e) {
      // What the directory names is unknown here: the message below says so.
    }
    throw JobFailure.failure(
        "Cannot read reward model in %s: its features are not those of this version; fit it again"
            .formatted(directory));
  }

  private static List<String> texts(JsonNode array) {
    List<String> texts = new ArrayList<>();
    array.forEach(text -> texts.add(text.asText()));
    return texts;
  }

  private static void read(
      Safetensors file, Path directory, String name, int size, float[] target, int offset) {
    if (size == 0) {
      return;
    }
    boolean fits =
        file.tensors().stream()
            .anyMatch(tensor -> tensor.name().equals(name) && tensor.elements() == size);
    if (!fits) {
      throw JobFailure.failure(
          "Cannot read reward model in %s: %s has no tensor %s of %d numbers"
              .formatted(directory, RewardModels.WEIGHTS, name, size));
    }
    file.readInto(name, target, offset);
  }
}
