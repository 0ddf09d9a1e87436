package io.github.sparkrlhf.lm;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;
import com.fasterxml.jackson.databind.node.MissingNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.sparkrlhf.spark.JobFailure;
import java.io.IOException;
import java.io.Serializable;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * A Hugging Face tokenizer as plain data, small enough to broadcast.
 *
 * @param json the content of {@code tokenizer.json}
 * @param bosId the id of the token that begins a text
 * @param eosId the id of the token that ends a response
 * @param padId the id of the token that fills up a batch
 */
public record TokenizerFile(String json, int bosId, int eosId, int padId) implements Serializable {
  /** The plain template as a chat template of Hugging Face. */
  static final String CHAT_TEMPLATE =
      "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'assistant' %}"
          + "{{ message['content'] + eos_token }}{% else %}{{ message['content'] + '\\n' }}"
          + "{% endif %}{% endfor %}";

  private static final String TOKENIZER = "tokenizer.json";
  private static final String CONFIG = "tokenizer_config.json";
  private static final String SPECIAL_TOKENS_MAP = "special_tokens_map.json";
  private static final ObjectMapper JSON =
      new ObjectMapper().enable(SerializationFeature.INDENT_OUTPUT);

  /**
   * Reads the tokenizer of a model directory, whoever wrote it. Which tokens begin, end and pad is
   * read from {@code tokenizer_config.json} and {@code special_tokens_map.json}, of which one
   * suffices; a missing begin or pad token is the end token.
   *
   * @throws JobFailure if files are missing or malformed
   */
  public static TokenizerFile load(Path modelDirectory) {
    String json = ModelFiles.text(modelDirectory.resolve(TOKENIZER));
    TokenizerJson tokenizer =
        TokenizerJson.parse(json, modelDirectory.resolve(TOKENIZER).toString());
    JsonNode config = readOptional(modelDirectory.resolve(CONFIG));
    JsonNode map = readOptional(modelDirectory.resolve(SPECIAL_TOKENS_MAP));
    Integer eos = id("eos_token", config, map, tokenizer, modelDirectory);
    if (eos == null) {
      throw JobFailure.failure(
          "Cannot read tokenizer in %s: neither %s nor %s names an eos_token"
              .formatted(modelDirectory, CONFIG, SPECIAL_TOKENS_MAP));
    }
    Integer bos = id("bos_token", config, map, tokenizer, modelDirectory);
    Integer pad = id("pad_token", config, map, tokenizer, modelDirectory);
    return new TokenizerFile(json, bos == null ? eos : bos, eos, pad == null ? eos : pad);
  }

  /**
   * Writes {@code tokenizer.json}, {@code tokenizer_config.json} with the plain chat template and
   * {@code special_tokens_map.json} into an existing directory.
   *
   * @throws JobFailure if the directory cannot be written
   */
  public void save(Path modelDirectory) {
    TokenizerJson tokenizer = TokenizerJson.parse(json, TOKENIZER);
    ObjectNode map = JSON.createObjectNode();
    map.put("bos_token", tokenizer.contentOf(bosId));
    map.put("eos_token", tokenizer.contentOf(eosId));
    map.put("pad_token", tokenizer.contentOf(padId));
    ObjectNode config = JSON.createObjectNode();
    config.put("tokenizer_class", "PreTrainedTokenizerFast");
    config.setAll(map);
    config.put("add_bos_token", false).put("add_eos_token", false);
    config.put("clean_up_tokenization_spaces", false);
    config.put("chat_template", CHAT_TEMPLATE);
    try {
      Files.writeString(modelDirectory.resolve(TOKENIZER), json);
      Files.writeString(modelDirectory.resolve(CONFIG), JSON.writeValueAsString(config));
      Files.writeString(modelDirectory.resolve(SPECIAL_TOKENS_MAP), JSON.writeValueAsString(map));
    } catch (IOException e) {
      throw JobFailure.failure(
          "Cannot write tokenizer to %s: %s".formatted(modelDirectory, e.getMessage()), e);
    }
  }

  private static JsonNode readOptional(Path file) {
    if (!Files.exists(file)) {
      return MissingNode.getInstance();
    }
    try {
      return JSON.readTree(ModelFiles.text(file));
    } catch (JsonProcessingException e) {
      throw JobFailure.failure(
          "Cannot read %s: it is not JSON (%s)".formatted(file, e.getOriginalMessage()), e);
    }
  }

  private static Integer id(
      String role, JsonNode config, JsonNode map, TokenizerJson tokenizer, Path directory) {
    JsonNode token = config.hasNonNull(role) ? config.path(role) : map.path(role);
    if (token.isNull() || token.isMissingNode()) {
      return null;
    }
    String content = token.isObject() ? token.path("content").asText() : token.asText();
    Integer id = tokenizer.idOf(content);
    if (id == null) {
      throw JobFailure.failure(
          "Cannot read tokenizer in %s: its %s '%s' is not among its tokens"
              .formatted(directory, role, content));
    }
    return id;
  }
}
