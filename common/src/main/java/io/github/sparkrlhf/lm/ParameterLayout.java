package io.github.sparkrlhf.lm;

import io.github.sparkrlhf.spark.CounterRandom;
import io.github.sparkrlhf.spark.JobFailure;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Where each parameter stands in the one flat {@code float[]} that is broadcast, summed, stepped
 * and checkpointed. Names are those of Hugging Face's safetensors files.
 */
public final class ParameterLayout implements Serializable {
  private static final long serialVersionUID = 1L;

  /** Standard deviation of newly drawn weight matrices. */
  static final double INITIAL_DEVIATION = 0.02;

  /**
   * One parameter.
   *
   * @param name the name under Hugging Face
   * @param shape its dimensions, row-major
   * @param offset index of its first number in the flat array
   */
  public record Parameter(String name, long[] shape, int offset) implements Serializable {
    /** How many numbers it has. */
    public int size() {
      int size = 1;
      for (long dimension : shape) {
        size = Math.multiplyExact(size, Math.toIntExact(dimension));
      }
      return size;
    }

    /** Whether weight decay applies: to matrices, not to norms and biases. */
    public boolean decays() {
      return shape.length > 1;
    }
  }

  private final LinkedHashMap<String, Parameter> parameters = new LinkedHashMap<>();
  private int size;

  private ParameterLayout() {}

  static ParameterLayout of(TransformerConfig c) {
    ParameterLayout layout = new ParameterLayout();
    layout.add(c.embeddingName(), c.vocabularySize(), c.hiddenSize());
    if (c.family().learnsPositions()) {
      layout.add(c.positionName(), c.maxPositions(), c.hiddenSize());
    }
    for (int i = 0; i < c.layers(); i++) {
      String prefix = c.layerPrefix(i);
      DecoderLayer.parameterShapes(c).forEach((name, shape) -> layout.add(prefix + name, shape));
    }
    layout.add(c.lastNormName() + ".weight", c.hiddenSize());
    if (c.family() == TransformerConfig.Family.GPT2) {
      layout.add(c.lastNormName() + ".bias", c.hiddenSize());
    }
    if (c.head().predictsTokens() && !c.tiedEmbeddings()) {
      layout.add(c.headName(), c.vocabularySize(), c.hiddenSize());
    }
    // Last: a model without the scalar head is then the beginning of one with both.
    if (c.head().scores()) {
      layout.add(TransformerConfig.SCORE_NAME, 1, c.hiddenSize());
    }
    return layout;
  }

  /** A layout of the given names and shapes, in that order. */
  public static ParameterLayout of(Map<String, long[]> shapes) {
    ParameterLayout layout = new ParameterLayout();
    shapes.forEach(layout::add);
    return layout;
  }

  private void add(String name, long... shape) {
    int room = Integer.MAX_VALUE - size;
    long elements = 1;
    for (long dimension : shape) {
      if (dimension > room / elements) {
        throw JobFailure.failure(
            "it has more than " + Integer.MAX_VALUE + " parameters, those from " + name + " on");
      }
      elements *= dimension;
    }
    Parameter parameter = new Parameter(name, shape, size);
    parameters.put(name, parameter);
    size += parameter.size();
  }

  /** How many numbers all parameters have together. */
  public int size() {
    return size;
  }

  /** All parameters in the order of the flat array. */
  public List<Parameter> parameters() {
    return Collections.unmodifiableList(new ArrayList<>(parameters.values()));
  }

  /**
   * The parameters as tensors of a safetensors file.
   *
   * @param prefix put before every name
   */
  public List<Safetensors.Tensor> tensors(String prefix) {
    return parameters.values().stream()
        .map(p -> new Safetensors.Tensor(prefix + p.name(), p.shape(), "F32"))
        .toList();
  }

  /**
   * The parameter of that name.
   *
   * @throws IllegalArgumentException if there is none
   */
  public Parameter parameter(String name) {
    Parameter parameter = parameters.get(name);
    if (parameter == null) {
      throw new IllegalArgumentException("No parameter " + name);
    }
    return parameter;
  }

  /**
   * New weights: matrices N(0, 0.02²), norms 1, biases 0, the score head N(0, 1/(d+1)) (after Huang
   * et al. 2024, "The N+ Implementation Details of RLHF with PPO").
   *
   * @return the flat array, a pure function of the layout and the seed
   */
  public float[] initialWeights(long seed) {
    CounterRandom random = new CounterRandom(seed, "initial weights");
    float[] weights = new float[size];
    int index = 0;
    for (Map.Entry<String, Parameter> entry : parameters.entrySet()) {
      fill(weights, entry.getValue(), random, index++);
    }
    return weights;
  }

  /**
   * Copies all parameters of the same name and shape from other weights; the rest of {@code target}
   * stays as it is.
   */
  public void copyShared(ParameterLayout sourceLayout, float[] source, float[] target) {
    for (Parameter parameter : parameters.values()) {
      Parameter other = sourceLayout.parameters.get(parameter.name());
      if (other != null && java.util.Arrays.equals(other.shape(), parameter.shape())) {
        System.arraycopy(source, other.offset(), target, parameter.offset(), parameter.size());
      }
    }
  }

  private static void fill(float[] weights, Parameter parameter, CounterRandom random, int index) {
    double deviation = INITIAL_DEVIATION;
    if (parameter.name().equals(TransformerConfig.SCORE_NAME)) {
      deviation = 1 / Math.sqrt(parameter.shape()[1] + 1.0);
    }
    for (int i = 0; i < parameter.size(); i++) {
      float value;
      if (parameter.decays()) {
        value = (float) (deviation * random.gaussian(index, i));
      } else {
        value = parameter.name().endsWith(".bias") ? 0 : 1;
      }
      weights[parameter.offset() + i] = value;
    }
  }
}
