package io.github.sparkrlhf.lm;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.sparkrlhf.spark.JobFailure;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * The content of a Hugging Face {@code tokenizer.json}: its tokens, the variant of it that knows no
 * control tokens, and the one that {@link BpeTrainer} writes.
 */
final class TokenizerJson {
  /** How many special tokens a tokenizer that we train has. */
  static final int SPECIAL_TOKENS = 3;

  private static final int PAD_ID = 0;
  private static final int BOS_ID = 1;
  private static final int EOS_ID = 2;
  private static final List<String> SPECIAL_CONTENTS = List.of("<|pad|>", "<|bos|>", "<|eos|>");
  private static final ObjectMapper JSON = new ObjectMapper();

  private final ObjectNode root;
  private final Map<String, Integer> addedIds = new HashMap<>();
  private final Map<String, Integer> controlIds = new HashMap<>();

  private TokenizerJson(ObjectNode root) {
    this.root = root;
    for (JsonNode token : root.path("added_tokens")) {
      String content = token.path("content").asText();
      addedIds.put(content, token.path("id").asInt());
      if (isControl(token)) {
        controlIds.put(content, token.path("id").asInt());
      }
    }
  }

  /**
   * Reads and checks the JSON.
   *
   * @throws JobFailure if it is not a tokenizer of type BPE; {@code name} says whose it is
   */
  static TokenizerJson parse(String json, String name) {
    JsonNode root = ModelFiles.json(json, name);
    JsonNode model = root.path("model");
    if (!model.path("vocab").isObject() || !model.path("merges").isArray()) {
      throw JobFailure.failure(
          "Cannot read %s: it holds no tokenizer of type BPE with a vocabulary and merges"
              .formatted(name));
    }
    for (JsonNode token : root.path("added_tokens")) {
      if (!token.path("content").isTextual() || !token.path("id").canConvertToInt()) {
        throw JobFailure.failure(
            "Cannot read %s: an added token has no id or no content".formatted(name));
      }
    }
    return new TokenizerJson((ObjectNode) root);
  }

  /** The id of a token of the vocabulary or of an added token, null if there is none. */
  Integer idOf(String content) {
    Integer added = addedIds.get(content);
    JsonNode inVocabulary = root.path("model").path("vocab").path(content);
    return added != null || inVocabulary.isMissingNode() ? added : (Integer) inVocabulary.asInt();
  }

  /** The content of the token with the id, null if there is none. */
  String contentOf(int id) {
    for (Map.Entry<String, Integer> added : addedIds.entrySet()) {
      if (added.getValue() == id) {
        return added.getKey();
      }
    }
    for (Map.Entry<String, JsonNode> token : root.path("model").path("vocab").properties()) {
      if (token.getValue().asInt() == id) {
        return token.getKey();
      }
    }
    return null;
  }

  /** One more than the largest id. */
  int size() {
    int largest = -1;
    for (int id : addedIds.values()) {
      largest = Math.max(largest, id);
    }
    for (JsonNode id : root.path("model").path("vocab")) {
      largest = Math.max(largest, id.asInt());
    }
    return largest + 1;
  }

  /** The ids that no text may produce and that decoding skips. */
  Set<Integer> specialIds() {
    Set<Integer> ids = new HashSet<>();
    for (JsonNode token : root.path("added_tokens")) {
      if (token.path("special").asBoolean()) {
        ids.add(token.path("id").asInt());
      }
    }
    return ids;
  }

  /**
   * A token that a chat template may name.
   *
   * @param stripsLeft whether it takes the white space before it
   * @param stripsRight whether it takes the white space behind it
   */
  record ControlToken(int id, String content, boolean stripsLeft, boolean stripsRight) {}

  /**
   * The tokens that no text may produce, the longest first.
   *
   * @param more the ids of further tokens that are control tokens, whatever the file says
   */
  List<ControlToken> controlTokens(Set<Integer> more) {
    Map<String, ControlToken> tokens = new HashMap<>();
    for (int id : more) {
      tokens.put(contentOf(id), new ControlToken(id, contentOf(id), false, false));
    }
    for (JsonNode token : root.path("added_tokens")) {
      String content = token.path("content").asText();
      if ((isControl(token) || tokens.containsKey(content)) && !content.isEmpty()) {
        boolean left = token.path("lstrip").asBoolean();
        boolean right = token.path("rstrip").asBoolean();
        tokens.put(content, new ControlToken(token.path("id").asInt(), content, left, right));
      }
    }
    return tokens.values().stream()
        .sorted(
            Comparator.comparing((ControlToken token) -> -token.content().length())
                .thenComparing(ControlToken::content))
        .toList();
  }

  /**
   * The same tokenizer without control tokens: text that spells one is encoded like any other text.
   * Without the entries in the vocabulary, because a model with {@code ignore_merges} looks whole
   * words up there, and without post-processor, truncation and padding, which have no place where
   * ids are put together by hand.
   *
   * @param more the ids of further tokens that are control tokens, whatever the file says
   */
  String withoutControlTokens(Set<Integer> more) {
    Set<String> control = new HashSet<>(controlIds.keySet());
    more.forEach(id -> control.add(contentOf(id)));
    ObjectNode stripped = root.deepCopy();
    Iterator<JsonNode> added = stripped.withArray("added_tokens").elements();
    while (added.hasNext()) {
      if (control.contains(added.next().path("content").asText())) {
        added.remove();
      }
    }
    ObjectNode model = (ObjectNode) stripped.path("model");
    ((ObjectNode) model.path("vocab")).remove(control);
    Iterator<JsonNode> merges = model.withArray("merges").elements();
    while (merges.hasNext()) {
      if (touches(merges.next(), control)) {
        merges.remove();
      }
    }
    if (control.contains(model.path("unk_token").asText())) {
      model.putNull("unk_token");
    }
    List.of("truncation", "padding", "post_processor").forEach(stripped::putNull);
    return stripped.toString();
  }

  /**
   * Markers such as {@code <think>} count as control tokens though files call them not special;
   * runs of spaces, which some vocabularies add, are plain text.
   */
  private static boolean isControl(JsonNode token) {
    return token.path("special").asBoolean() || !token.path("content").asText().isBlank();
  }

  private static boolean touches(JsonNode merge, Set<String> contents) {
    String[] parts =
        merge.isArray()
            ? new String[] {merge.path(0).asText(), merge.path(1).asText()}
            : merge.asText().split(" ", 2);
    return contents.contains(parts[0])
        || contents.contains(parts[1])
        || contents.contains(parts[0] + parts[1]);
  }

  /** The tokenizer that consists of the special tokens, the bytes and the merges. */
  static TokenizerFile trained(List<BpeMerges.Merge> merges) {
    ObjectNode root = JSON.createObjectNode();
    root.put("version", "1.0").putNull("truncation").putNull("padding");
    ArrayNode added = root.putArray("added_tokens");
    for (int id = 0; id < SPECIAL_TOKENS; id++) {
      ObjectNode token = added.addObject().put("id", id).put("content", SPECIAL_CONTENTS.get(id));
      List.of("single_word", "lstrip", "rstrip", "normalized")
          .forEach(key -> token.put(key, false));
      token.put("special", true);
    }
    root.putNull("normalizer");
    byteLevel(root.putObject("pre_tokenizer"));
    root.putNull("post_processor");
    byteLevel(root.putObject("decoder"));
    ObjectNode model = root.putObject("model").put("type", "BPE");
    List.of("dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix")
        .forEach(model::putNull);
    model.put("fuse_unk", false).put("byte_fallback", false).put("ignore_merges", false);
    fill(model.putObject("vocab"), model.putArray("merges"), merges);
    return new TokenizerFile(root.toString(), BOS_ID, EOS_ID, PAD_ID);
  }

  private static void byteLevel(ObjectNode node) {
    node.put("type", "ByteLevel").put("add_prefix_space", false);
    node.put("trim_offsets", true).put("use_regex", true);
  }

  private static void fill(ObjectNode vocabulary, ArrayNode rules, List<BpeMerges.Merge> merges) {
    SPECIAL_CONTENTS.forEach(content -> vocabulary.put(content, vocabulary.size()));
    for (int b = 0; b < ByteAlphabet.SIZE; b++) {
      vocabulary.put(ByteAlphabet.text(new byte[] {(byte) b}), vocabulary.size());
    }
    for (BpeMerges.Merge merge : merges) {
      String left = ByteAlphabet.text(merge.left());
      String right = ByteAlphabet.text(merge.right());
      rules.add(left + " " + right);
      if (!vocabulary.has(left + right)) {
        vocabulary.put(left + right, vocabulary.size());
      }
    }
  }
}
