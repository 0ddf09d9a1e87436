package io.github.sparkrlhf.lm;

import com.fasterxml.jackson.databind.JsonNode;
import io.github.sparkrlhf.spark.JobFailure;
import java.io.Serializable;
import java.nio.file.Path;
import java.util.List;

/**
 * The shape of a decoder-only transformer, as Hugging Face's {@code config.json} describes it. A
 * field that would change the result and is not supported is refused by name, never ignored.
 *
 * @param family what its layers are made of
 * @param head what sits on top of the hidden states
 * @param vocabularySize number of token ids
 * @param hiddenSize width of the residual stream
 * @param intermediateSize width of the feed-forward layer
 * @param layers number of decoder layers
 * @param heads number of query heads
 * @param keyValueHeads number of key and value heads; divides {@code heads}
 * @param headSize width of one head; even
 * @param normEpsilon epsilon of the norms
 * @param ropeTheta base of the rotary position embedding; without meaning where positions are
 *     learned
 * @param ropeScaling how it is stretched
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
    RopeScaling ropeScaling,
    int maxPositions,
    boolean tiedEmbeddings,
    boolean attentionBias,
    boolean mlpBias)
    implements Serializable {

  /** More layers than any model has: a number beyond it is a damaged or hostile file. */
  public static final int MAX_LAYERS = 1024;

  /** The name of the matrix of a scalar head. */
  public static final String SCORE_NAME = "score.weight";

  /** The model families. All but GPT-2 share one code path. */
  public enum Family {
    /** {@code model_type} llama. */
    LLAMA("llama", "Llama", "model."),
    /** {@code model_type} mistral: a Llama without biases, here also without a sliding window. */
    MISTRAL("mistral", "Mistral", "model."),
    /** {@code model_type} qwen2: biases on the query, key and value projections only. */
    QWEN2("qwen2", "Qwen2", "model."),
    /** {@code model_type} gpt2: learned positions, layer norms, biases everywhere. */
    GPT2("gpt2", "GPT2", "transformer.");

    private final String modelType;
    private final String className;
    private final String prefix;

    Family(String modelType, String className, String prefix) {
      this.modelType = modelType;
      this.className = className;
      this.prefix = prefix;
    }

    /** The name under {@code model_type}. */
    String modelType() {
      return modelType;
    }

    /** What the names of all tensors but those of the head begin with. */
    String prefix() {
      return prefix;
    }

    /** The name under {@code architectures}. */
    String architecture(Head head) {
      if (head.suffix == null) {
        throw new IllegalArgumentException(head + " is written as its two heads");
      }
      boolean headOfGpt2 = this == GPT2 && head == Head.CAUSAL_LM;
      return className + (headOfGpt2 ? "LMHeadModel" : head.suffix);
    }

    /** Whether positions are learned embeddings, not rotations. */
    boolean learnsPositions() {
      return this == GPT2;
    }
  }

  /** What sits on top of the hidden states. */
  public enum Head {
    /** Logits over the vocabulary. */
    CAUSAL_LM("ForCausalLM"),
    /** One scalar per position, without bias: reward models and critics. */
    SEQUENCE_CLASSIFICATION("ForSequenceClassification"),
    /** Both on one trunk, while a policy and its critic learn together; no file has it. */
    CAUSAL_LM_AND_SCORE(null);

    /** The heads that a file can have. */
    static final List<Head> IN_FILES = List.of(CAUSAL_LM, SEQUENCE_CLASSIFICATION);

    private final String suffix;

    Head(String suffix) {
      this.suffix = suffix;
    }

    /** Whether there are logits over the vocabulary. */
    boolean predictsTokens() {
      return this != SEQUENCE_CLASSIFICATION;
    }

    /** Whether there is a scalar per position. */
    boolean scores() {
      return this != CAUSAL_LM;
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
    require(normEpsilon > 0, "epsilon of the norms", normEpsilon);
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
        RopeScaling.NONE,
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
        ropeScaling,
        maxPositions,
        tiedEmbeddings,
        attentionBias,
        mlpBias);
  }

  /** Whether the output projection of attention has a bias. */
  boolean attentionOutputBias() {
    return attentionBias && family != Family.QWEN2;
  }

  /** The name of the matrix that turns token ids into hidden states. */
  String embeddingName() {
    return family.prefix() + (family == Family.GPT2 ? "wte.weight" : "embed_tokens.weight");
  }

  /** The name of the matrix of learned positions. */
  String positionName() {
    return family.prefix() + "wpe.weight";
  }

  /** What the names of the last norm's parameters begin with. */
  String lastNormName() {
    return family.prefix() + (family == Family.GPT2 ? "ln_f" : "norm");
  }

  /** What the names of a layer's parameters begin with. */
  String layerPrefix(int layer) {
    return family.prefix() + (family == Family.GPT2 ? "h." : "layers.") + layer + ".";
  }

  /** The name of the head's matrix; of two heads that of the language model. */
  String headName() {
    if (!head.predictsTokens()) {
      return SCORE_NAME;
    }
    return tiedEmbeddings ? embeddingName() : "lm_head.weight";
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
    JsonNode json = ModelFiles.json(file);
    try {
      TransformerConfig config = ConfigJson.read(json);
      // Fails here, by the file's name, if one array cannot hold so many weights.
      config.layout();
      return config;
    } catch (JobFailure e) {
      throw JobFailure.failure("Cannot use " + file + ": " + e.getMessage(), e);
    }
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
   * @param type of the weights beside it
   */
  public String toJson(int bosId, int eosId, int padId, WeightType type) {
    return ConfigJson.write(this, bosId, eosId, padId, type);
  }
}
