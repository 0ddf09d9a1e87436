package io.github.sparkrlhf.reward;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.sparkrlhf.lm.ParameterLayout;
import io.github.sparkrlhf.lm.Safetensors;
import io.github.sparkrlhf.lm.Safetensors.Tensor;
import java.io.Serializable;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** A small feed-forward network on {@link DenseFeatures}. */
public final class MlpModel extends TextRewardModel {
  /** The name of the kind. */
  public static final String KIND = "mlp";

  private static final String MEAN = "feature.mean";
  private static final String DEVIATION = "feature.deviation";
  private static final String TARGET = "target.mean_and_deviation";

  private final DenseFeatures features;
  private final List<Integer> hidden;
  private final float[] weights;
  private final Scaling scaling;

  /**
   * What the network's inputs and output are standardised by.
   *
   * @param mean of each feature
   * @param deviation the standard deviation of each feature, above 0
   * @param target mean and standard deviation of the targets
   */
  record Scaling(float[] mean, float[] deviation, float[] target) implements Serializable {
    float[] standardised(float[] values) {
      float[] result = new float[values.length];
      for (int i = 0; i < values.length; i++) {
        result[i] = (values[i] - mean[i]) / deviation[i];
      }
      return result;
    }
  }

  MlpModel(DenseFeatures features, List<Integer> hidden, float[] weights, Scaling scaling) {
    super(scorer(features, new MlpNetwork(features.size(), hidden), weights, scaling));
    this.features = features;
    this.hidden = List.copyOf(hidden);
    this.weights = weights;
    this.scaling = scaling;
  }

  private static TextScorer scorer(
      DenseFeatures features, MlpNetwork network, float[] weights, Scaling scaling) {
    return (prompt, response) -> {
      float[] inputs = scaling.standardised(features.of(prompt, response));
      return scaling.target()[0] + scaling.target()[1] * network.predict(weights, inputs);
    };
  }

  @Override
  public String kind() {
    return KIND;
  }

  @Override
  public void save(Path directory, Map<String, Object> provenance) {
    ObjectNode json = RewardModels.header(KIND);
    RewardModels.putFeatures(json, features);
    hidden.forEach(json.putArray("hidden")::add);
    int size = features.size();
    List<Tensor> tensors = new ArrayList<>(new MlpNetwork(size, hidden).layout().tensors(""));
    tensors.add(new Tensor(MEAN, new long[] {size}, "F32"));
    tensors.add(new Tensor(DEVIATION, new long[] {size}, "F32"));
    tensors.add(new Tensor(TARGET, new long[] {2}, "F32"));
    float[] values = new float[weights.length + 2 * size + 2];
    System.arraycopy(weights, 0, values, 0, weights.length);
    System.arraycopy(scaling.mean(), 0, values, weights.length, size);
    System.arraycopy(scaling.deviation(), 0, values, weights.length + size, size);
    System.arraycopy(scaling.target(), 0, values, weights.length + 2 * size, 2);
    RewardModels.write(
        directory,
        provenance,
        json,
        beside ->
            Safetensors.write(
                beside.resolve(RewardModels.WEIGHTS), tensors, values, Map.of("format", "pt")));
  }

  /** Reads what {@link #save} wrote. */
  static MlpModel load(Path directory, JsonNode json) {
    DenseFeatures features = RewardModels.features(directory, json);
    List<Integer> hidden = new ArrayList<>();
    json.path("hidden").forEach(width -> hidden.add(width.asInt()));
    try (RewardTensors tensors = new RewardTensors(directory)) {
      if (hidden.isEmpty()
          || hidden.size() > MlpTrainer.MAX_HIDDEN_LAYERS
          || hidden.stream().anyMatch(width -> width < 1 || width > MlpTrainer.MAX_WIDTH)) {
        throw tensors.unreadable("its hidden layers are " + json.path("hidden"));
      }
      ParameterLayout layout = new MlpNetwork(features.size(), hidden).layout();
      float[] weights = new float[layout.size()];
      for (ParameterLayout.Parameter parameter : layout.parameters()) {
        float[] values = tensors.read(parameter.name(), parameter.size());
        System.arraycopy(values, 0, weights, parameter.offset(), values.length);
      }
      Scaling scaling =
          new Scaling(
              tensors.read(MEAN, features.size()),
              tensors.read(DEVIATION, features.size()),
              tensors.read(TARGET, 2));
      return new MlpModel(features, hidden, weights, scaling);
    }
  }
}
