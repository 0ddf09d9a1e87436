package io.github.sparkrlhf.reward;

import static java.util.stream.Collectors.toSet;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.sparkrlhf.lm.Safetensors;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.IntStream;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;

/** Regression trees on {@link DenseFeatures}, averaged (random forest) or added up (boosted). */
public final class ForestModel extends TextRewardModel {
  /** The kind whose trees are averaged (Breiman, 2001). */
  public static final String RANDOM_FOREST = "random-forest";

  /** The kind whose trees correct one another (Friedman, 2001). */
  public static final String GRADIENT_BOOSTED = "gradient-boosted";

  private static final String ROOT = "tree.root";
  private static final String FEATURE = "node.feature";
  private static final String THRESHOLD = "node.threshold";
  private static final String SKIP = "node.skip";
  private static final String VALUE = "node.value";
  private static final String IMPORTANCE = "feature.importance";

  private final String kind;
  private final DenseFeatures features;
  private final RegressionForest forest;
  private final float[] importances;

  ForestModel(String kind, DenseFeatures features, RegressionForest forest, float[] importances) {
    super((prompt, response) -> forest.predict(features.of(prompt, response)));
    this.kind = kind;
    this.features = features;
    this.forest = forest;
    this.importances = importances;
  }

  @Override
  public String kind() {
    return kind;
  }

  /** The share of each feature in what the trees explain of the targets; they add up to 1. */
  public Map<String, Double> featureImportances() {
    Map<String, Double> byName = new LinkedHashMap<>();
    List<String> names = features.names();
    for (int i = 0; i < importances.length; i++) {
      byName.put(names.get(i), (double) importances[i]);
    }
    return byName;
  }

  @Override
  public List<FeatureWeight> featureWeights(Dataset<Row> texts, int most) {
    List<String> names = features.names();
    int styles = names.size() - features.buckets();
    List<Integer> greatest =
        IntStream.range(0, importances.length)
            .boxed()
            .filter(i -> importances[i] > 0)
            .sorted(Comparator.<Integer>comparingDouble(i -> -importances[i]))
            .limit(most)
            .toList();
    Set<Integer> buckets =
        greatest.stream().filter(i -> i >= styles).map(i -> i - styles).collect(toSet());
    Map<Integer, List<String>> terms =
        BucketTerms.of(texts, buckets, new DenseFeatures.Hashing(features.buckets()));
    return greatest.stream()
        .map(
            i ->
                new FeatureWeight(
                    names.get(i), importances[i], terms.getOrDefault(i - styles, List.of())))
        .toList();
  }

  @Override
  public void save(Path directory, Map<String, Object> provenance) {
    ObjectNode json = RewardModels.header(kind);
    RewardModels.putFeatures(json, features);
    Map<String, float[]> tensors =
        Map.of(
            ROOT, RewardTensors.ofWhole(forest.roots()),
            FEATURE, RewardTensors.ofWhole(forest.feature()),
            THRESHOLD, forest.threshold(),
            SKIP, RewardTensors.ofWhole(forest.skip()),
            VALUE, forest.value(),
            IMPORTANCE, importances);
    RewardModels.write(
        directory,
        provenance,
        json,
        beside ->
            Safetensors.writeVectors(
                beside.resolve(RewardModels.WEIGHTS), tensors, Map.of("format", "pt")));
  }

  /** Reads what {@link #save} wrote. */
  static ForestModel load(Path directory, JsonNode json) {
    DenseFeatures features = RewardModels.features(directory, json);
    try (RewardTensors tensors = new RewardTensors(directory)) {
      int nodes = tensors.size(FEATURE);
      RegressionForest forest =
          new RegressionForest(
              tensors.readWhole(ROOT, tensors.size(ROOT)),
              tensors.readWhole(FEATURE, nodes),
              tensors.read(THRESHOLD, nodes),
              tensors.readWhole(SKIP, nodes),
              tensors.read(VALUE, nodes));
      if (!forest.isSound(features.size())) {
        throw tensors.unreadable("its arrays are no trees");
      }
      return new ForestModel(
          json.path("kind").asText(), features, forest, tensors.read(IMPORTANCE, features.size()));
    }
  }
}
