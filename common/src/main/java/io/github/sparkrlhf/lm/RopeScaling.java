package io.github.sparkrlhf.lm;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.sparkrlhf.spark.JobFailure;
import java.io.Serializable;
import java.util.Arrays;
import java.util.Locale;

/**
 * How the frequencies of the rotary position embedding (Su et al., 2021) are stretched for longer
 * texts, as {@code rope_scaling} or {@code rope_parameters} of Hugging Face's {@code config.json}
 * say.
 *
 * @param type which rule
 * @param factor by how much positions are stretched; 1 for {@link Type#DEFAULT}
 * @param lowFrequencyFactor of {@link Type#LLAMA3}
 * @param highFrequencyFactor of {@link Type#LLAMA3}
 * @param originalPositions longest sequence in tokens before stretching, of {@link Type#LLAMA3}
 */
public record RopeScaling(
    Type type,
    double factor,
    double lowFrequencyFactor,
    double highFrequencyFactor,
    int originalPositions)
    implements Serializable {

  /** The frequencies as they are. */
  public static final RopeScaling NONE = new RopeScaling(Type.DEFAULT, 1, 1, 1, 1);

  private static final String TYPE = "rope_type";
  private static final String FACTOR = "factor";
  private static final String LOW = "low_freq_factor";
  private static final String HIGH = "high_freq_factor";
  private static final String ORIGINAL = "original_max_position_embeddings";

  /** The rules that are supported. */
  public enum Type {
    /** No scaling. */
    DEFAULT,
    /** All positions are divided by the factor (Chen et al., 2023). */
    LINEAR,
    /**
     * A text that is longer than the configuration's longest gets a greater base ("dynamic NTK");
     * others are left alone.
     */
    DYNAMIC,
    /** Low frequencies are divided by the factor, high ones are not (Llama 3.1). */
    LLAMA3;

    private String json() {
      return name().toLowerCase(Locale.ROOT);
    }
  }

  /** Checks the numbers. */
  public RopeScaling {
    require(factor >= 1 && Double.isFinite(factor), FACTOR, factor);
    require(lowFrequencyFactor > 0, LOW, lowFrequencyFactor);
    require(
        highFrequencyFactor > lowFrequencyFactor || type != Type.LLAMA3, HIGH, highFrequencyFactor);
    require(originalPositions > 0, ORIGINAL, originalPositions);
  }

  /**
   * Reads the scaling of a configuration, in the style of transformers 4 or 5.
   *
   * @throws JobFailure if the type is not supported or a number is missing
   */
  static RopeScaling of(JsonNode config) {
    JsonNode older = config.path("rope_scaling");
    JsonNode newer = config.path("rope_parameters");
    RopeScaling scaling = of(newer.isObject() ? newer : older, newer.isObject());
    if (newer.isObject() && older.isObject() && !of(older, false).equals(scaling)) {
      throw JobFailure.failure("rope_scaling and rope_parameters contradict each other");
    }
    return scaling;
  }

  private static RopeScaling of(JsonNode given, boolean newer) {
    String field = newer ? "rope_parameters" : "rope_scaling";
    String name = given.path(TYPE).asText(given.path("type").asText("default"));
    Type type =
        Arrays.stream(Type.values())
            .filter(each -> each.json().equals(name))
            .findFirst()
            .orElseThrow(
                () -> JobFailure.failure(field + " of type '" + name + "' is not supported"));
    return switch (type) {
      case DEFAULT -> NONE;
      case LINEAR, DYNAMIC -> new RopeScaling(type, number(given, field, FACTOR), 1, 1, 1);
      case LLAMA3 ->
          new RopeScaling(
              type,
              number(given, field, FACTOR),
              number(given, field, LOW),
              number(given, field, HIGH),
              (int) number(given, field, ORIGINAL));
    };
  }

  private static double number(JsonNode given, String field, String name) {
    if (!given.path(name).isNumber()) {
      throw JobFailure.failure(field + " has no number " + name);
    }
    return given.path(name).asDouble();
  }

  private static void require(boolean holds, String field, Number value) {
    if (!holds) {
      throw JobFailure.failure("rope " + field + " cannot be " + value);
    }
  }

  /** Adds the fields that {@link #of} reads. */
  void write(ObjectNode json) {
    json.put(TYPE, type.json());
    if (type != Type.DEFAULT) {
      json.put(FACTOR, factor);
    }
    if (type == Type.LLAMA3) {
      json.put(LOW, lowFrequencyFactor);
      json.put(HIGH, highFrequencyFactor);
      json.put(ORIGINAL, originalPositions);
    }
  }

  /**
   * The frequencies of a head's pairs of numbers, in float32 as transformers computes them.
   *
   * @param length longest sequence of the pass, in tokens
   * @return {@code [head size / 2]}
   */
  float[] inverseFrequencies(TransformerConfig config, int length) {
    double base = config.ropeTheta();
    if (type == Type.DYNAMIC && length > config.maxPositions()) {
      double stretch = factor * length / config.maxPositions() - (factor - 1);
      base *= Math.pow(stretch, config.headSize() / (config.headSize() - 2.0));
    }
    float[] frequencies = new float[config.headSize() / 2];
    for (int i = 0; i < frequencies.length; i++) {
      double frequency = 1.0 / Math.pow(base, 2.0 * i / config.headSize());
      frequencies[i] = (float) scaled(frequency);
    }
    return frequencies;
  }

  private double scaled(double frequency) {
    return switch (type) {
      case DEFAULT, DYNAMIC -> frequency;
      case LINEAR -> frequency / factor;
      case LLAMA3 -> {
        double turns = originalPositions * frequency / (2 * Math.PI);
        double share = (turns - lowFrequencyFactor) / (highFrequencyFactor - lowFrequencyFactor);
        double kept = Math.max(0, Math.min(1, share));
        yield kept * frequency + (1 - kept) * frequency / factor;
      }
    };
  }
}
