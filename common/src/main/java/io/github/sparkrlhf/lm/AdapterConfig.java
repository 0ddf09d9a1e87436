package io.github.sparkrlhf.lm;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.sparkrlhf.spark.JobFailure;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * PEFT's {@code adapter_config.json} for LoRA. A field that would change the result and is not
 * supported is refused by name, never ignored; one that is not known is such a field.
 *
 * @param head what the adapted model has on top; null if the file does not say
 * @param rank the width between A and B
 * @param alpha so that alpha / rank is the factor, rank-stabilised or not
 * @param targets the names under {@code target_modules}; empty if the file has a pattern instead
 * @param base {@code base_model_name_or_path} as it stands there
 */
record AdapterConfig(
    TransformerConfig.Head head, int rank, double alpha, List<String> targets, String base) {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final String CAUSAL_LM = "CAUSAL_LM";
  private static final String SEQ_CLS = "SEQ_CLS";

  /** The modules that PEFT trains in full in every classifier; ours have the second one. */
  private static final List<String> CLASSIFIER_MODULES = List.of("classifier", "score");

  /** Initialisations that leave the base as it is; the others change it before training. */
  private static final Set<String> INITIALISATIONS = Set.of("gaussian", "eva", "orthogonal");

  /** Fields that are read, and fields that say nothing about the weights of a finished adapter. */
  private static final Set<String> KNOWN =
      Set.of(
          "auto_mapping",
          "base_model_name_or_path",
          "bias",
          "corda_config",
          "ensure_weight_tying",
          "eva_config",
          "fan_in_fan_out",
          "inference_mode",
          "init_lora_weights",
          "layers_pattern",
          "loftq_config",
          "lora_alpha",
          "lora_dropout",
          "lora_ga_config",
          "megatron_config",
          "megatron_core",
          "modules_to_save",
          "peft_type",
          "peft_version",
          "qalora_group_size",
          "r",
          "revision",
          "runtime_config",
          "target_modules",
          "task_type",
          "use_rslora");

  /**
   * Reads the file.
   *
   * @throws JobFailure if it cannot be read, or says what is not supported
   */
  static AdapterConfig load(Path file) {
    JsonNode json = ModelFiles.json(file);
    try {
      return of(json);
    } catch (JobFailure e) {
      throw JobFailure.failure("Cannot use " + file + ": " + e.getMessage(), e);
    }
  }

  private static AdapterConfig of(JsonNode json) {
    require(json.path("peft_type").asText().equals("LORA"), json, "peft_type");
    refuseUnsupported(json);
    JsonNode rank = json.path("r");
    require(rank.isInt() && rank.intValue() >= 1, json, "r");
    JsonNode alpha = json.path("lora_alpha");
    require(alpha.isNumber() && Double.isFinite(alpha.doubleValue()), json, "lora_alpha");
    JsonNode base = json.path("base_model_name_or_path");
    require(base.isTextual() && !base.asText().isEmpty(), json, "base_model_name_or_path");
    double stabilised = json.path("use_rslora").asBoolean() ? Math.sqrt(rank.intValue()) : 1;
    return new AdapterConfig(
        head(json),
        rank.intValue(),
        alpha.doubleValue() * stabilised,
        targets(json),
        base.asText());
  }

  private static TransformerConfig.Head head(JsonNode json) {
    JsonNode task = json.path("task_type");
    if (task.isNull() || task.isMissingNode()) {
      return null;
    }
    boolean scores = task.asText().equals(SEQ_CLS);
    require(scores || task.asText().equals(CAUSAL_LM), json, "task_type");
    return scores
        ? TransformerConfig.Head.SEQUENCE_CLASSIFICATION
        : TransformerConfig.Head.CAUSAL_LM;
  }

  private static List<String> targets(JsonNode json) {
    JsonNode modules = json.path("target_modules");
    require(
        modules.isTextual() || (modules.isArray() && !modules.isEmpty()), json, "target_modules");
    List<String> targets = new ArrayList<>();
    for (JsonNode module : modules) {
      require(module.isTextual(), json, "target_modules");
      targets.add(module.asText());
    }
    return targets;
  }

  private static void refuseUnsupported(JsonNode json) {
    for (Map.Entry<String, JsonNode> field : json.properties()) {
      JsonNode value = field.getValue();
      boolean off =
          value.isNull()
              || (value.isBoolean() && !value.booleanValue())
              || (value.isContainerNode() && value.isEmpty());
      require(off || KNOWN.contains(field.getKey()), json, field.getKey());
    }
    require(json.path("bias").asText("none").equals("none"), json, "bias");
    JsonNode initialisation = json.path("init_lora_weights");
    require(
        !initialisation.isTextual() || INITIALISATIONS.contains(initialisation.asText()),
        json,
        "init_lora_weights");
    for (JsonNode module : json.path("modules_to_save")) {
      require(
          CLASSIFIER_MODULES.contains(module.asText())
              && json.path("task_type").asText().equals(SEQ_CLS),
          json,
          "modules_to_save");
    }
  }

  private static void require(boolean holds, JsonNode json, String field) {
    if (!holds) {
      throw JobFailure.failure(
          json.has(field)
              ? field + " " + json.path(field) + " is not supported"
              : "it has no " + field);
    }
  }

  /** The file that PEFT reads. */
  static String write(LoraAdapters adapters, Path base) {
    TransformerConfig config = adapters.config();
    boolean scores = config.head() == TransformerConfig.Head.SEQUENCE_CLASSIFICATION;
    ObjectNode json = JSON.createObjectNode();
    json.putObject("alpha_pattern");
    json.putNull("auto_mapping");
    json.put("base_model_name_or_path", base.toString());
    json.put("bias", "none");
    json.put("fan_in_fan_out", config.family() == TransformerConfig.Family.GPT2);
    json.put("inference_mode", true);
    json.put("init_lora_weights", true);
    json.putNull("layers_pattern");
    json.putNull("layers_to_transform");
    json.put("lora_alpha", adapters.lora().alpha());
    json.put("lora_dropout", 0.0);
    if (scores) {
      ArrayNode modules = json.putArray("modules_to_save");
      CLASSIFIER_MODULES.forEach(modules::add);
    } else {
      json.putNull("modules_to_save");
    }
    json.put("peft_type", "LORA");
    json.put("r", adapters.lora().rank());
    json.putObject("rank_pattern");
    json.putNull("revision");
    ArrayNode targets = json.putArray("target_modules");
    adapters.targetModules().forEach(targets::add);
    json.put("task_type", scores ? SEQ_CLS : CAUSAL_LM);
    json.put("use_dora", false);
    json.put("use_rslora", false);
    return json.toPrettyString() + "\n";
  }
}
