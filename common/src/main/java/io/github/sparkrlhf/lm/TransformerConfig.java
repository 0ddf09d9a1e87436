package io.github.sparkrlhf.lm;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.sparkrlhf.spark.JobFailure;
import java.io.IOException;
import java.io.Serializable;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * The shape of a decoder-only transformer of the Llama family, as Hugging Face's {@code
 * config.json} describes it. A field that would change the result and is not supported is refused
 * by name, never ignored.
 *
 * @param family Llama or Qwen2
 * @param head what sits on top of the hidden states
 * @param vocabularySize number of token ids
 * @param hiddenSize width of the residual stream
 * @param intermediateSize width of the gated feed-forward layer
 * @param layers number of decoder layers
 * @param heads number of query heads
 * @param keyValueHeads number of key and value heads; divides {@code heads}
 * @param headSize width of one head; even
 * @param normEpsilon epsilon of the root-mean-square norm
 * @param ropeTheta base of the rotary position embedding
 * @param maxPositions longest sequence in tokens
 * @param tiedEmbeddings whether the language-model head is the embedding matrix
 * @param attentionBias whether the projections of attention have biases (Qwen2: all but the output)
 * @param mlpBias whether the feed-forward projections have biases
 */
public record TransformerConfig(
    Family family,
    Head head,
    int vocabularySize,
    int hiddenSize,
    int intermediateSize,
    int layers,
    int heads,
    int keyValueHeads,
    int headSize,
    double normEpsilon,
    double ropeTheta,
    int maxPositions,
    boolean tiedEmbeddings,
    boolean attentionBias,
    boolean mlpBias)
    implements Serializable {

  /** More layers than any model has: a number beyond it is a damaged or hostile file. */
  public static final int MAX_LAYERS = 1024;

  private static final ObjectMapper JSON = new ObjectMapper();

  /** The model families that share this code path. */
  public enum Family {
    /** {@code model_type} llama. */
    LLAMA("llama", "Llama"),
    /** {@code model_type} qwen2: biases on the query, key and value projections only. */
    QWEN2("qwen2", "Qwen2");

    private final String modelType;
    private final String prefix;

    Family(String modelType, String prefix) {
      this.modelType = modelType;
      this.prefix = prefix;
    }
  }

  /** What sits on top of the hidden states. */
  public enum Head {
    /** Logits over the vocabulary. */
    CAUSAL_LM("ForCausalLM"),
    /** One scalar per position, without bias: reward models and critics. */
    SEQUENCE_CLASSIFICATION("ForSequenceClassification");

    private final String suffix;

    Head(String suffix) {
      this.suffix = suffix;
    }
  }

  /** Checks that the numbers fit together. */
  public TransformerConfig {
    require(vocabularySize > 0, "vocab_size", vocabularySize);
    require(hiddenSize > 0, "hidden_size", hiddenSize);
    require(intermediateSize > 0, "intermediate_size", intermediateSize);
    require(layers > 0 && layers <= MAX_LAYERS, "num_hidden_layers", layers);
    require(heads > 0, "num_attention_heads", heads);
    require(keyValueHeads > 0 && heads % keyValueHeads == 0, "num_key_value_heads", keyValueHeads);
    require(headSize > 0 && headSize % 2 == 0, "head_dim", headSize);
    require(normEpsilon > 0, "rms_norm_eps", normEpsilon);
    require(ropeTheta > 0, "rope_theta", ropeTheta);
    require(maxPositions > 0, "max_position_embeddings", maxPositions);
  }

  /**
   * A Llama of the given size with tied embeddings and as many key and value heads as heads.
   *
   * @param maxPositions longest sequence in tokens
   */
  public static TransformerConfig llama(
      int vocabularySize,
      int hiddenSize,
      int intermediateSize,
      int layers,
      int heads,
      int maxPositions) {
    return new TransformerConfig(
        Family.LLAMA,
        Head.CAUSAL_LM,
        vocabularySize,
        hiddenSize,
        intermediateSize,
        layers,
        heads,
        heads,
        hiddenSize / heads,
        1e-6,
        10_000.0,
        maxPositions,
        true,
        false,
        false);
  }

  /** The same trunk with another head. */
  public TransformerConfig withHead(Head newHead) {
    return new TransformerConfig(
        family,
        newHead,
        vocabularySize,
        hiddenSize,
        intermediateSize,
        layers,
        heads,
        keyValueHeads,
        headSize,
        normEpsilon,
        ropeTheta,
        maxPositions,
        tiedEmbeddings,
        attentionBias,
        mlpBias);
  }

  /** Whether the output projection of attention has a bias. */
  boolean attentionOutputBias() {
    return attentionBias && family == Family.LLAMA;
  }

  /** The names, shapes and places of all parameters under Hugging Face's names. */
  public ParameterLayout layout() {
    return ParameterLayout.of(this);
  }

  /**
   * Reads {@code config.json}, in the style of transformers 4 ({@code rope_theta}) or 5 ({@code
   * rope_parameters}).
   *
   * @throws JobFailure if the file cannot be read, the architecture is unknown, or a field that
   *     would change the result is not supported
   */
  public static TransformerConfig load(Path file) {
    JsonNode json;
    try {
      json = JSON.readTree(Files.readString(file));
    } catch (IOException e) {
      throw JobFailure.failure("Cannot read " + file + ": " + e.getMessage(), e);
    }
    try {
      TransformerConfig config = parse(json);
      // Fails here, by the file's name, if one array cannot hold so many weights.
      config.layout();
      return config;
    } catch (JobFailure e) {
      throw JobFailure.failure("Cannot use " + file + ": " + e.getMessage(), e);
    }
  }

  private static TransformerConfig parse(JsonNode json) {
    String architecture = json.path("architectures").path(0).asText("");
    Family family = null;
    Head head = null;
    for (Family candidate : Family.values()) {
      for (Head candidateHead : Head.values()) {
        if (architecture.equals(candidate.prefix + candidateHead.suffix)) {
          family = candidate;
          head = candidateHead;
        }
      }
    }
    if (family == null) {
      throw JobFailure.failure("architecture '" + architecture + "' is not supported");
    }
    refuseUnsupported(json, head);
    int heads = integer(json, "num_attention_heads", -1);
    int hiddenSize = integer(json, "hidden_size", -1);
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
        integer(json, "max_position_embeddings", 2048),
        json.path("tie_word_embeddings").asBoolean(false),
        family == Family.QWEN2 || json.path("attention_bias").asBoolean(false),
        json.path("mlp_bias").asBoolean(false));
  }

  private static void refuseUnsupported(JsonNode json, Head head) {
    String activation = json.path("hidden_act").asText("silu");
    if (!activation.equals("silu")) {
      throw JobFailure.failure("hidden_act '" + activation + "' is not supported");
    }
    if (json.path("use_sliding_window").asBoolean(false)) {
      throw JobFailure.failure("use_sliding_window is not supported");
    }
    if (json.has("quantization_config")) {
      throw JobFailure.failure("quantization_config is not supported");
    }
    for (String field : new String[] {"rope_scaling", "rope_parameters"}) {
      JsonNode rope = json.path(field);
      String type = rope.path("rope_type").asText(rope.path("type").asText("default"));
      if (!type.equals("default")) {
        throw JobFailure.failure(field + " of type '" + type + "' is not supported");
      }
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

  private static void require(boolean holds, String field, Number value) {
    if (!holds) {
      throw JobFailure.failure(field + " cannot be " + value);
    }
  }

  /**
   * The {@code config.json} that transformers 4 and 5 read.
   *
   * @param bosId token id that begins a text
   * @param eosId token id that ends a text
   * @param padId token id of padding
   */
  public String toJson(int bosId, int eosId, int padId) {
    ObjectNode json = JSON.createObjectNode();
    json.putArray("architectures").add(family.prefix + head.suffix);
    if (family == Family.LLAMA) {
      json.put("attention_bias", attentionBias);
      json.put("mlp_bias", mlpBias);
    } else {
      json.put("use_sliding_window", false);
    }
    json.put("attention_dropout", 0.0);
    json.put("bos_token_id", bosId);
    json.put("dtype", "float32");
    json.put("eos_token_id", eosId);
    json.put("head_dim", headSize);
    json.put("hidden_act", "silu");
    json.put("hidden_size", hiddenSize);
    if (head == Head.SEQUENCE_CLASSIFICATION) {
      json.putObject("id2label").put("0", "LABEL_0");
      json.putObject("label2id").put("LABEL_0", 0);
    }
    json.put("initializer_range", ParameterLayout.INITIAL_DEVIATION);
    json.put("intermediate_size", intermediateSize);
    json.put("max_position_embeddings", maxPositions);
    json.put("model_type", family.modelType);
    json.put("num_attention_heads", heads);
    json.put("num_hidden_layers", layers);
    json.put("num_key_value_heads", keyValueHeads);
    json.put("pad_token_id", padId);
    json.put("rms_norm_eps", normEpsilon);
    json.putObject("rope_parameters").put("rope_theta", ropeTheta).put("rope_type", "default");
    json.put("rope_theta", ropeTheta);
    json.put("tie_word_embeddings", tiedEmbeddings);
    json.put("torch_dtype", "float32");
    json.put("use_cache", true);
    json.put("vocab_size", vocabularySize);
    return json.toPrettyString() + "\n";
  }
}
