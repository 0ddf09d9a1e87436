package io.github.sparkrlhf.lm;

import ai.djl.huggingface.tokenizers.HuggingFaceTokenizer;
import io.github.sparkrlhf.spark.JobFailure;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.BitSet;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.stream.IntStream;

/**
 * Text to token ids and back. Text stays text: no text, whatever it spells, is encoded to a special
 * token; the caller puts those where they belong. Safe for use by many threads.
 */
public final class Tokenizer {
  /** One per content and JVM, never closed: they hold native memory and live as long as the JVM. */
  private static final Map<TokenizerFile, Tokenizer> CACHE = new ConcurrentHashMap<>();

  /** The library's defaults add special tokens and cut at 512 tokens. */
  private static final Map<String, String> OPTIONS =
      Map.of("addSpecialTokens", "false", "truncation", "false", "padding", "false");

  private static final char REPLACEMENT = '\uFFFD';

  private final TokenizerFile file;
  private final int vocabularySize;
  private final Set<Integer> specialIds;
  private final HuggingFaceTokenizer encoder;
  private final HuggingFaceTokenizer decoder;
  private final int[] promptEnd;

  /** Null where the plain template is used. */
  private final ConversationEncoder conversations;

  private Tokenizer(TokenizerFile file) {
    this.file = file;
    TokenizerJson json = TokenizerJson.parse(file.json(), "tokenizer.json");
    this.vocabularySize = json.size();
    Set<Integer> roles = new HashSet<>(Arrays.asList(file.bosId(), file.eosId(), file.padId()));
    file.stopIds().stream().filter(id -> json.contentOf(id) != null).forEach(roles::add);
    this.specialIds = new HashSet<>(json.specialIds());
    this.specialIds.addAll(roles);
    TorchRuntime.configureLibrary();
    this.encoder = open(json.withoutControlTokens(roles));
    this.decoder = open(file.json());
    this.promptEnd = encode("\n");
    this.conversations =
        file.chatTemplate() == null
            ? null
            : new ConversationEncoder(
                file, new ControlTokens(json.controlTokens(roles)), this::encode);
  }

  /**
   * The tokenizer of the file, one per content and JVM.
   *
   * @throws JobFailure if the content is not a tokenizer
   */
  public static Tokenizer of(TokenizerFile file) {
    return CACHE.computeIfAbsent(file, Tokenizer::new);
  }

  /**
   * Encodes a text in full, without special tokens. A surrogate without its partner, which no
   * encoding of Unicode can express, becomes U+FFFD.
   */
  public int[] encode(String text) {
    long[] ids = encoder.encode(wellFormed(text), false, false).getIds();
    int[] tokens = new int[ids.length];
    for (int i = 0; i < ids.length; i++) {
      tokens[i] = Math.toIntExact(ids[i]);
    }
    return tokens;
  }

  /** Decodes token ids to text; special tokens are skipped, broken UTF-8 becomes U+FFFD. */
  public String decode(int[] ids) {
    long[] text =
        Arrays.stream(ids).filter(id -> !specialIds.contains(id)).asLongStream().toArray();
    return text.length == 0 ? "" : decoder.decode(text, true);
  }

  /**
   * Encodes a prompt as the one message of a user, by the model's chat template; in the plain
   * template that is the begin token, the prompt, a line feed. The response follows directly.
   *
   * @throws JobFailure if the chat template cannot be rendered
   */
  public int[] encodePrompt(String prompt) {
    if (conversations != null) {
      return conversations.prompt(prompt);
    }
    int[] tokens = encode(prompt);
    int[] ids = new int[1 + tokens.length + promptEnd.length];
    ids[0] = file.bosId();
    System.arraycopy(tokens, 0, ids, 1, tokens.length);
    System.arraycopy(promptEnd, 0, ids, 1 + tokens.length, promptEnd.length);
    return ids;
  }

  /**
   * Encodes a response as what the model's chat template appends for the assistant's message, up to
   * and with the first stop token; in the plain template that is the response, the end token.
   *
   * @throws JobFailure if the chat template cannot be rendered, or does not append
   */
  public int[] encodeResponse(String response) {
    if (conversations != null) {
      return conversations.response(response);
    }
    int[] tokens = encode(response);
    int[] ids = Arrays.copyOf(tokens, tokens.length + 1);
    ids[tokens.length] = file.eosId();
    return ids;
  }

  /**
   * Encodes a conversation by the model's chat template; in the plain template that is the begin
   * token, then for each message its content and a line feed, or the end token if it is the
   * assistant's. What an assistant says is encoded apart, as by {@link #encodeResponse}.
   *
   * @throws JobFailure if the chat template refuses the conversation or does not append
   */
  public EncodedConversation encodeConversation(List<ChatMessage> messages) {
    if (conversations != null) {
      return conversations.conversation(messages);
    }
    IntStream.Builder ids = IntStream.builder().add(file.bosId());
    BitSet assistant = new BitSet();
    int length = 1;
    for (ChatMessage message : messages) {
      int[] content = encode(message.content());
      int[] end = message.isAssistant() ? new int[] {file.eosId()} : promptEnd;
      Arrays.stream(content).forEach(ids);
      Arrays.stream(end).forEach(ids);
      int next = length + content.length + end.length;
      assistant.set(length, next, message.isAssistant());
      length = next;
    }
    boolean[] mask = new boolean[length];
    IntStream.range(0, length).forEach(i -> mask[i] = assistant.get(i));
    return new EncodedConversation(ids.build().toArray(), mask);
  }

  /** One more than the largest token id. */
  public int vocabularySize() {
    return vocabularySize;
  }

  /** The id of the token that begins a text. */
  public int bosId() {
    return file.bosId();
  }

  /** The id of the token that ends a response. */
  public int eosId() {
    return file.eosId();
  }

  /** The id of the token that fills up a batch. */
  public int padId() {
    return file.padId();
  }

  private static HuggingFaceTokenizer open(String json) {
    try {
      return HuggingFaceTokenizer.newInstance(
          new ByteArrayInputStream(json.getBytes(StandardCharsets.UTF_8)), OPTIONS);
    } catch (IOException | RuntimeException e) {
      throw JobFailure.failure("Cannot read tokenizer.json: " + e.getMessage(), e);
    }
  }

  private static String wellFormed(String text) {
    StringBuilder repaired = null;
    for (int i = 0; i < text.length(); i++) {
      char c = text.charAt(i);
      boolean paired =
          Character.isHighSurrogate(c)
              && i + 1 < text.length()
              && Character.isLowSurrogate(text.charAt(i + 1));
      if (paired) {
        i++;
      } else if (Character.isSurrogate(c)) {
        repaired = repaired == null ? new StringBuilder(text) : repaired;
        repaired.setCharAt(i, REPLACEMENT);
      }
    }
    return repaired == null ? text : repaired.toString();
  }
}
