package io.github.sparkrlhf.reward;

import static java.util.stream.Collectors.toSet;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.sparkrlhf.lm.Safetensors;
import io.github.sparkrlhf.spark.JobFailure;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.IntStream;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.ml.linalg.SparseVector;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;

/**
 * The linear model of Bradley and Terry (1952): a response's reward is the weighted sum of its
 * features, and the log-odds that people prefer one response to another are the difference of the
 * two rewards.
 */
public final class BradleyTerryModel implements RewardModel {
  /** The name of the kind. */
  public static final String KIND = "bradley-terry";

  private static final String STYLE_WEIGHT = "style.weight";
  private static final String STYLE_SCALE = "style.scale";
  private static final String BUCKET_WEIGHT = "bucket.weight";
  private static final String BUCKET_IDF = "bucket.idf";

  private final TextFeatures features;
  private final float[] weights;
  private final TextScorer.OnExecutors onExecutors;

  BradleyTerryModel(TextFeatures features, float[] weights) {
    if (weights.length != features.size()) {
      throw new IllegalArgumentException("one weight for each feature");
    }
    this.features = features;
    this.weights = weights;
    this.onExecutors =
        new TextScorer.OnExecutors(
            (prompt, response) -> score(features, weights, prompt, response));
  }

  @Override
  public String kind() {
    return KIND;
  }

  /** The reward of one response. */
  public double score(String prompt, String response) {
    return score(features, weights, prompt, response);
  }

  /** The weight of a style feature: how much a standard difference in it moves the log-odds. */
  public Map<String, Double> styleWeights() {
    Map<String, Double> byName = new LinkedHashMap<>();
    for (int i = 0; i < TextStyle.NAMES.size(); i++) {
      byName.put(TextStyle.NAMES.get(i), (double) weights[i]);
    }
    return byName;
  }

  @Override
  public List<FeatureWeight> featureWeights(Dataset<Row> texts, int most) {
    int styles = TextStyle.NAMES.size();
    List<Integer> greatest =
        IntStream.range(0, weights.length)
            .boxed()
            .sorted(Comparator.<Integer>comparingDouble(i -> -Math.abs(weights[i])))
            .limit(most)
            .toList();
    Set<Integer> buckets =
        greatest.stream().filter(i -> i >= styles).map(i -> i - styles).collect(toSet());
    Map<Integer, List<String>> terms =
        BucketTerms.of(texts, buckets, new Hashing(features.settings()));
    return greatest.stream()
        .map(
            i ->
                i < styles
                    ? new FeatureWeight(TextStyle.NAMES.get(i), weights[i], List.of())
                    : new FeatureWeight(
                        "bucket_" + (i - styles),
                        weights[i],
                        terms.getOrDefault(i - styles, List.of())))
        .toList();
  }

  /** Words, pairs of words, and words of the prompt with words of the response. */
  private record Hashing(TextFeatures.Settings settings) implements BucketTerms.Hashing {
    private static final long serialVersionUID = 1L;

    @Override
    public List<String> terms(String prompt, String response) {
      return TextFeatures.terms(settings, prompt, response);
    }

    @Override
    public int bucket(String term) {
      return TextFeatures.bucket(settings, term);
    }
  }

  @Override
  public TextScorer scorer(JavaSparkContext context) {
    return onExecutors.shared(context);
  }

  @Override
  public Dataset<Row> score(Dataset<Row> rows) {
    return onExecutors.score(rows);
  }

  private static double score(
      TextFeatures features, float[] weights, String prompt, String response) {
    SparseVector vector = features.of(prompt, response);
    double sum = 0;
    for (int i = 0; i < vector.indices().length; i++) {
      sum += vector.values()[i] * weights[vector.indices()[i]];
    }
    return sum;
  }

  @Override
  public void save(Path directory, Map<String, Object> provenance) {
    int styles = TextStyle.NAMES.size();
    ObjectNode json = RewardModels.header(KIND);
    json.put("buckets", features.settings().buckets());
    json.put("prompt_words", features.settings().promptWords());
    TextStyle.NAMES.forEach(json.putArray("style_features")::add);
    RewardModels.write(
        directory,
        provenance,
        json,
        beside ->
            Safetensors.writeVectors(
                beside.resolve(RewardModels.WEIGHTS),
                Map.of(
                    STYLE_WEIGHT, Arrays.copyOf(weights, styles),
                    STYLE_SCALE, features.styleScale(),
                    BUCKET_WEIGHT, Arrays.copyOfRange(weights, styles, weights.length),
                    BUCKET_IDF, features.idf()),
                Map.of("format", "pt")));
  }

  /** Reads what {@link #save} wrote. */
  static BradleyTerryModel load(Path directory, JsonNode json) {
    int buckets = json.path("buckets").asInt();
    int promptWords = json.path("prompt_words").asInt(-1);
    List<String> names = new ArrayList<>();
    json.path("style_features").forEach(name -> names.add(name.asText()));
    if (buckets < 1 || promptWords < 0 || !names.equals(TextStyle.NAMES)) {
      throw JobFailure.failure(
          "Cannot read reward model in %s: its features are not those of this version"
              .formatted(directory));
    }
    int styles = names.size();
    float[] weights = new float[styles + buckets];
    float[] scale = new float[styles];
    float[] idf = new float[buckets];
    try (Safetensors file = Safetensors.open(directory.resolve(RewardModels.WEIGHTS))) {
      read(file, directory, STYLE_WEIGHT, styles, weights, 0);
      read(file, directory, STYLE_SCALE, styles, scale, 0);
      read(file, directory, BUCKET_WEIGHT, buckets, weights, styles);
      read(file, directory, BUCKET_IDF, buckets, idf, 0);
    }
    TextFeatures features =
        new TextFeatures(new TextFeatures.Settings(buckets, promptWords), scale, idf);
    return new BradleyTerryModel(features, weights);
  }

  private static void read(
      Safetensors file, Path directory, String name, int size, float[] target, int offset) {
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
