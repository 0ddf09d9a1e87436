package io.github.sparkrlhf.lm;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.sparkrlhf.lm.TransformerConfig.Family;
import io.github.sparkrlhf.lm.TransformerConfig.Head;
import io.github.sparkrlhf.spark.JobFailure;
import java.util.List;
import java.util.Map;

/** {@code config.json} of a model directory. */
final class ConfigJson {
  private static final ObjectMapper JSON = new ObjectMapper();

  /** What transformers takes where a Mistral does not say. */
  private static final int MISTRAL_WINDOW = 4096;

  private static final int GPT2_WIDENING = 4;

  /** Switches that must be as in the published models; absent is that as well. */
  private static final Map<String, Boolean> GPT2_SWITCHES =
      Map.of(
          "scale_attn_weights", true,
          "scale_attn_by_inverse_layer_idx", false,
          "reorder_and_upcast_attn", false,
          "add_cross_attention", false);

  private ConfigJson() {}

  /**
   * The configuration of a file.
   *
   * @throws JobFailure if a field that would change the result is not supported
   */
  static TransformerConfig read(JsonNode json) {
    String architecture = json.path("architectures").path(0).asText("");
    for (Family family : Family.values()) {
      for (Head head : Head.IN_FILES) {
        if (architecture.equals(family.architecture(head))) {
          refuseUnsupported(json, head);
          return family == Family.GPT2 ? gpt2(json, head) : llama(json, family, head);
        }
      }
    }
    throw JobFailure.failure("architecture '" + architecture + "' is not supported");
  }

  private static TransformerConfig llama(JsonNode json, Family family, Head head) {
    refuseActivation(json, "hidden_act", "silu", List.of("silu", "swish"));
    refuseWindow(json, family);
    refusePartialRotation(json);
    int heads = integer(json, "num_attention_heads", -1);
    int hiddenSize = integer(json, "hidden_size", -1);
    boolean llama = family == Family.LLAMA;
    return new TransformerConfig(
        family,
        head,
        integer(json, "vocab_size", -1),
        hiddenSize,
        integer(json, "intermediate_size", -1),
        integer(json, "num_hidden_layers", -1),
        heads,
        integer(json, "num_key_value_heads", heads),
        integer(json, "head_dim", heads > 0 ? hiddenSize / heads : -1),
        json.path("rms_norm_eps").asDouble(1e-6),
        ropeTheta(json),
        RopeScaling.of(json),
        integer(json, "max_position_embeddings", 2048),
        json.path("tie_word_embeddings").asBoolean(false),
        family == Family.QWEN2 || (llama && json.path("attention_bias").asBoolean(false)),
        llama && json.path("mlp_bias").asBoolean(false));
  }

  private static TransformerConfig gpt2(JsonNode json, Head head) {
    refuseActivation(
        json, "activation_function", "gelu_new", List.of("gelu_new", "gelu_pytorch_tanh"));
    GPT2_SWITCHES.forEach(
        (field, expected) -> {
          if (json.path(field).asBoolean(expected) != expected) {
            throw JobFailure.failure(field + " " + !expected + " is not supported");
          }
        });
    int heads = integer(json, "n_head", -1);
    int hiddenSize = integer(json, "n_embd", -1);
    if (heads > 0 && hiddenSize % heads != 0) {
      throw JobFailure.failure("n_head cannot be " + heads + " where n_embd is " + hiddenSize);
    }
    return new TransformerConfig(
        Family.GPT2,
        head,
        integer(json, "vocab_size", -1),
        hiddenSize,
        integer(json, "n_inner", GPT2_WIDENING * hiddenSize),
        integer(json, "n_layer", -1),
        heads,
        heads,
        heads > 0 ? hiddenSize / heads : -1,
        json.path("layer_norm_epsilon").asDouble(1e-5),
        1,
        RopeScaling.NONE,
        integer(json, "n_positions", 1024),
        json.path("tie_word_embeddings").asBoolean(true),
        true,
        true);
  }

  private static void refuseUnsupported(JsonNode json, Head head) {
    if (json.has("quantization_config")) {
      throw JobFailure.failure("quantization_config is not supported");
    }
    if (head == Head.SEQUENCE_CLASSIFICATION) {
      int labels =
          json.has("num_labels")
              ? json.path("num_labels").asInt()
              : json.has("id2label") ? json.path("id2label").size() : 2;
      if (labels != 1) {
        throw JobFailure.failure("a reward model has one label, this one has " + labels);
      }
    }
  }

  private static void refuseActivation(
      JsonNode json, String field, String standard, List<String> supported) {
    String activation = json.path(field).asText(standard);
    if (!supported.contains(activation)) {
      throw JobFailure.failure(field + " '" + activation + "' is not supported");
    }
  }

  /** A window that is as long as the longest text leaves nothing out. */
  private static void refuseWindow(JsonNode json, Family family) {
    if (json.path("use_sliding_window").asBoolean(false)) {
      throw JobFailure.failure("use_sliding_window is not supported");
    }
    for (JsonNode type : json.path("layer_types")) {
      if (!type.asText().equals("full_attention")) {
        throw JobFailure.failure("layer_types '" + type.asText() + "' is not supported");
      }
    }
    if (family == Family.MISTRAL && !json.path("sliding_window").isNull()) {
      int window = integer(json, "sliding_window", MISTRAL_WINDOW);
      if (window < integer(json, "max_position_embeddings", Integer.MAX_VALUE)) {
        throw JobFailure.failure("sliding_window " + window + " is not supported");
      }
    }
  }

  private static void refusePartialRotation(JsonNode json) {
    for (JsonNode place : List.of(json, json.path("rope_parameters"), json.path("rope_scaling"))) {
      if (place.path("partial_rotary_factor").asDouble(1) != 1) {
        throw JobFailure.failure("partial_rotary_factor is not supported");
      }
    }
  }

  private static double ropeTheta(JsonNode json) {
    JsonNode parameters = json.path("rope_parameters").path("rope_theta");
    return parameters.isNumber()
        ? parameters.asDouble()
        : json.path("rope_theta").asDouble(10_000.0);
  }

  private static int integer(JsonNode json, String field, int fallback) {
    JsonNode value = json.path(field);
    if (!value.isNumber()) {
      return fallback;
    }
    if (!value.isIntegralNumber() || !value.canConvertToInt()) {
      throw JobFailure.failure(field + " cannot be " + value.asText());
    }
    return value.intValue();
  }

  /** The file that transformers 4 and 5 read. */
  static String write(TransformerConfig config, int bosId, int eosId, int padId, WeightType type) {
    ObjectNode json = JSON.createObjectNode();
    json.putArray("architectures").add(config.family().architecture(config.head()));
    if (config.family() == Family.GPT2) {
      writeGpt2(config, json);
    } else {
      writeLlama(config, json);
    }
    json.put("bos_token_id", bosId);
    json.put("dtype", type.torchName());
    json.put("eos_token_id", eosId);
    if (config.head() == Head.SEQUENCE_CLASSIFICATION) {
      json.putObject("id2label").put("0", "LABEL_0");
      json.putObject("label2id").put("LABEL_0", 0);
    }
    json.put("initializer_range", ParameterLayout.INITIAL_DEVIATION);
    json.put("model_type", config.family().modelType());
    json.put("pad_token_id", padId);
    json.put("tie_word_embeddings", config.tiedEmbeddings());
    json.put("torch_dtype", type.torchName());
    json.put("use_cache", true);
    json.put("vocab_size", config.vocabularySize());
    return json.toPrettyString() + "\n";
  }

  private static void writeLlama(TransformerConfig config, ObjectNode json) {
    if (config.family() == Family.LLAMA) {
      json.put("attention_bias", config.attentionBias());
      json.put("mlp_bias", config.mlpBias());
    } else if (config.family() == Family.QWEN2) {
      json.put("use_sliding_window", false);
    } else {
      json.putNull("sliding_window");
    }
    json.put("attention_dropout", 0.0);
    json.put("head_dim", config.headSize());
    json.put("hidden_act", "silu");
    json.put("hidden_size", config.hiddenSize());
    json.put("intermediate_size", config.intermediateSize());
    json.put("max_position_embeddings", config.maxPositions());
    json.put("num_attention_heads", config.heads());
    json.put("num_hidden_layers", config.layers());
    json.put("num_key_value_heads", config.keyValueHeads());
    json.put("rms_norm_eps", config.normEpsilon());
    ObjectNode rope = json.putObject("rope_parameters").put("rope_theta", config.ropeTheta());
    config.ropeScaling().write(rope);
    if (!config.ropeScaling().equals(RopeScaling.NONE)) {
      config.ropeScaling().write(json.putObject("rope_scaling"));
    }
    json.put("rope_theta", config.ropeTheta());
  }

  private static void writeGpt2(TransformerConfig config, ObjectNode json) {
    json.put("activation_function", "gelu_new");
    json.put("attn_pdrop", 0.0);
    json.put("embd_pdrop", 0.0);
    json.put("layer_norm_epsilon", config.normEpsilon());
    json.put("n_embd", config.hiddenSize());
    json.put("n_head", config.heads());
    json.put("n_inner", config.intermediateSize());
    json.put("n_layer", config.layers());
    json.put("n_positions", config.maxPositions());
    json.put("resid_pdrop", 0.0);
  }
}
