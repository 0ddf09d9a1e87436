package io.github.sparkrlhf.lm;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;
import com.fasterxml.jackson.databind.node.MissingNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.fasterxml.jackson.databind.node.TextNode;
import io.github.sparkrlhf.spark.JobFailure;
import java.io.IOException;
import java.io.Serializable;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;

/**
 * A Hugging Face tokenizer as plain data, small enough to broadcast.
 *
 * @param json the content of {@code tokenizer.json}
 * @param bosId the id of the token that begins a text
 * @param eosId the id of the token that ends a response
 * @param padId the id of the token that fills up a batch
 * @param stopIds the ids of all tokens that end a response, {@code eosId} first
 * @param specialTokens the tokens that the files name, by role such as {@code bos_token}
 * @param chatTemplateJson the model's own {@code chat_template} as JSON, a string or a list of
 *     named ones; null for the plain template
 */
public record TokenizerFile(
    String json,
    int bosId,
    int eosId,
    int padId,
    List<Integer> stopIds,
    Map<String, String> specialTokens,
    String chatTemplateJson)
    implements Serializable {
  /** The plain template as a chat template of Hugging Face. */
  public static final String CHAT_TEMPLATE =
      "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'assistant' %}"
          + "{{ message['content'] + eos_token }}{% else %}{{ message['content'] + '\\n' }}"
          + "{% endif %}{% endfor %}";

  private static final String TOKENIZER = "tokenizer.json";
  private static final String CONFIG = "tokenizer_config.json";
  private static final String SPECIAL_TOKENS_MAP = "special_tokens_map.json";
  private static final String GENERATION_CONFIG = "generation_config.json";
  private static final String TEMPLATE = "chat_template.jinja";
  private static final String BOS = "bos_token";
  private static final String EOS = "eos_token";
  private static final String PAD = "pad_token";
  private static final List<String> ROLES =
      List.of(BOS, EOS, PAD, "unk_token", "sep_token", "cls_token", "mask_token");
  private static final ObjectMapper JSON =
      new ObjectMapper().enable(SerializationFeature.INDENT_OUTPUT);

  /** Copies what is given. */
  public TokenizerFile {
    stopIds = List.copyOf(stopIds);
    specialTokens = Map.copyOf(specialTokens);
  }

  /** A tokenizer of ours: the plain template and one token that ends a response. */
  public TokenizerFile(String json, int bosId, int eosId, int padId) {
    this(json, bosId, eosId, padId, List.of(eosId), named(json, bosId, eosId, padId), null);
  }

  private static Map<String, String> named(String json, int bosId, int eosId, int padId) {
    TokenizerJson tokenizer = TokenizerJson.parse(json, TOKENIZER);
    return Map.of(
        BOS, tokenizer.contentOf(bosId),
        EOS, tokenizer.contentOf(eosId),
        PAD, tokenizer.contentOf(padId));
  }

  /**
   * Reads the tokenizer of a model directory, whoever wrote it. Which tokens begin, end and pad is
   * read from {@code tokenizer_config.json} and {@code special_tokens_map.json}, of which one
   * suffices; a missing begin or pad token is the end token. What else ends a response is read from
   * {@code generation_config.json} and {@code config.json}, the chat template from {@code
   * chat_template.jinja} or {@code tokenizer_config.json}.
   *
   * @throws JobFailure if files are missing or malformed
   */
  public static TokenizerFile load(Path modelDirectory) {
    String json = ModelFiles.text(modelDirectory.resolve(TOKENIZER));
    TokenizerJson tokenizer =
        TokenizerJson.parse(json, modelDirectory.resolve(TOKENIZER).toString());
    JsonNode config = readOptional(modelDirectory.resolve(CONFIG));
    Map<String, String> named =
        named(config, readOptional(modelDirectory.resolve(SPECIAL_TOKENS_MAP)));
    Integer eos = id(EOS, named, tokenizer, modelDirectory);
    if (eos == null) {
      throw JobFailure.failure(
          "Cannot read tokenizer in %s: neither %s nor %s names an eos_token"
              .formatted(modelDirectory, CONFIG, SPECIAL_TOKENS_MAP));
    }
    Integer bos = id(BOS, named, tokenizer, modelDirectory);
    Integer pad = id(PAD, named, tokenizer, modelDirectory);
    return new TokenizerFile(
        json,
        bos == null ? eos : bos,
        eos,
        pad == null ? eos : pad,
        stopIds(eos, modelDirectory),
        named,
        ownTemplate(modelDirectory, config));
  }

  private static Map<String, String> named(JsonNode config, JsonNode map) {
    Map<String, String> named = new TreeMap<>();
    for (String role : ROLES) {
      JsonNode token = config.hasNonNull(role) ? config.path(role) : map.path(role);
      String content = token.isObject() ? token.path("content").asText() : token.asText("");
      if (!token.isNull() && !content.isEmpty()) {
        named.put(role, content);
      }
    }
    return named;
  }

  private static List<Integer> stopIds(int eos, Path modelDirectory) {
    Set<Integer> ids = new LinkedHashSet<>(List.of(eos));
    for (String file : List.of(GENERATION_CONFIG, "config.json")) {
      JsonNode more = readOptional(modelDirectory.resolve(file)).path("eos_token_id");
      for (JsonNode id : more.isArray() ? more : JSON.createArrayNode().add(more)) {
        if (id.isIntegralNumber() && id.canConvertToInt() && id.asInt() >= 0) {
          ids.add(id.asInt());
        }
      }
    }
    return List.copyOf(ids);
  }

  private static String ownTemplate(Path modelDirectory, JsonNode config) {
    Path file = modelDirectory.resolve(TEMPLATE);
    JsonNode template =
        Files.exists(file) ? new TextNode(ModelFiles.text(file)) : config.path("chat_template");
    boolean none = template.isNull() || template.isMissingNode();
    return none || template.asText().equals(CHAT_TEMPLATE) ? null : template.toString();
  }

  /**
   * The model's own chat template, of several the one named {@code default}; null for the plain
   * one.
   *
   * @throws JobFailure if there are several and none has that name
   */
  public String chatTemplate() {
    if (chatTemplateJson == null) {
      return null;
    }
    JsonNode template = ModelFiles.json(chatTemplateJson, "chat_template");
    if (template.isTextual()) {
      return template.asText();
    }
    for (JsonNode named : template) {
      if (named.path("name").asText().equals("default") && named.path("template").isTextual()) {
        return named.path("template").asText();
      }
    }
    throw JobFailure.failure(
        "Cannot use the chat_template of %s: it is no text, and no list with a template named"
                .formatted(CONFIG)
            + " 'default'");
  }

  /**
   * Writes {@code tokenizer.json}, {@code tokenizer_config.json} with the chat template, {@code
   * special_tokens_map.json}, and, if several tokens end a response, {@code generation_config.json}
   * into an existing directory.
   *
   * @throws JobFailure if the directory cannot be written
   */
  public void save(Path modelDirectory) {
    ObjectNode map = JSON.createObjectNode();
    ROLES.stream()
        .filter(specialTokens::containsKey)
        .forEach(role -> map.put(role, specialTokens.get(role)));
    ObjectNode config = JSON.createObjectNode();
    config.put("tokenizer_class", "PreTrainedTokenizerFast");
    config.setAll(map);
    config.put("add_bos_token", false).put("add_eos_token", false);
    config.put("clean_up_tokenization_spaces", false);
    config.set(
        "chat_template",
        chatTemplateJson == null
            ? new TextNode(CHAT_TEMPLATE)
            : ModelFiles.json(chatTemplateJson, "chat_template"));
    try {
      Files.writeString(modelDirectory.resolve(TOKENIZER), json);
      Files.writeString(modelDirectory.resolve(CONFIG), JSON.writeValueAsString(config));
      Files.writeString(modelDirectory.resolve(SPECIAL_TOKENS_MAP), JSON.writeValueAsString(map));
      if (stopIds.size() > 1) {
        ObjectNode generation = JSON.createObjectNode().put("bos_token_id", bosId);
        stopIds.forEach(generation.putArray("eos_token_id")::add);
        generation.put("pad_token_id", padId);
        Files.writeString(
            modelDirectory.resolve(GENERATION_CONFIG), JSON.writeValueAsString(generation));
      }
    } catch (IOException e) {
      throw JobFailure.failure(
          "Cannot write tokenizer to %s: %s".formatted(modelDirectory, e.getMessage()), e);
    }
  }

  private static JsonNode readOptional(Path file) {
    return Files.exists(file) ? ModelFiles.json(file) : MissingNode.getInstance();
  }

  private static Integer id(
      String role, Map<String, String> named, TokenizerJson tokenizer, Path directory) {
    String content = named.get(role);
    Integer id = content == null ? null : tokenizer.idOf(content);
    if (content != null && id == null) {
      throw JobFailure.failure(
          "Cannot read tokenizer in %s: its %s '%s' is not among its tokens"
              .formatted(directory, role, content));
    }
    return id;
  }
}
