package io.github.sparkrlhf.lm;

import io.github.sparkrlhf.spark.JobFailure;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.List;
import java.util.function.Function;
import java.util.stream.IntStream;

/** Conversations to token ids by a model's own chat template. */
final class ConversationEncoder {
  private static final ChatMessage ANY_PROMPT = new ChatMessage(ChatMessage.USER, "Hello");

  private final ChatTemplate template;
  private final String source;
  private final ControlTokens control;
  private final List<Integer> stopIds;
  private final Function<String, int[]> encode;

  /**
   * @param file the tokenizer, which has a template
   * @param control its control tokens
   * @param encode encodes text without control tokens
   */
  ConversationEncoder(TokenizerFile file, ControlTokens control, Function<String, int[]> encode) {
    this.source = file.chatTemplate();
    this.template = new ChatTemplate(source, file.specialTokens(), "the tokenizer");
    this.control = control;
    this.stopIds = file.stopIds();
    this.encode = encode;
  }

  /** The prompt as a message of the user, up to where the assistant's answer begins. */
  int[] prompt(String prompt) {
    List<ChatMessage> messages = List.of(new ChatMessage(ChatMessage.USER, prompt));
    char marker = ControlTokens.marker(messages, source);
    return encoded(template.render(control.guarded(messages, marker), true), marker);
  }

  /** What the template appends to a prompt for the response, to the first stop token. */
  int[] response(String response) {
    List<ChatMessage> messages =
        List.of(ANY_PROMPT, new ChatMessage(ChatMessage.ASSISTANT, response));
    char marker = ControlTokens.marker(messages, source);
    List<ChatMessage> guarded = control.guarded(messages, marker);
    String before = template.render(guarded.subList(0, 1), true);
    int[] ids = turn(appended(before, template.render(guarded, false), marker), marker);
    return Arrays.copyOf(ids, stop(ids) + 1);
  }

  /** All messages, and which tokens are the assistant's. */
  EncodedConversation conversation(List<ChatMessage> messages) {
    char marker = ControlTokens.marker(messages, source);
    List<ChatMessage> guarded = control.guarded(messages, marker);
    List<int[]> parts = new ArrayList<>();
    BitSet assistant = new BitSet();
    String done = "";
    int length = 0;
    for (int i = 0; i < guarded.size(); i++) {
      if (messages.get(i).isAssistant()) {
        String before = template.render(guarded.subList(0, i), true);
        String after = template.render(guarded.subList(0, i + 1), false);
        int[] context = encoded(appended(done, before, marker), marker);
        int[] turn = turn(appended(before, after, marker), marker);
        length += context.length;
        assistant.set(length, length + stop(turn) + 1);
        length += turn.length;
        parts.add(context);
        parts.add(turn);
        done = after;
      }
    }
    if (messages.isEmpty() || !messages.get(messages.size() - 1).isAssistant()) {
      parts.add(encoded(appended(done, template.render(guarded, false), marker), marker));
    }
    int[] ids = parts.stream().flatMapToInt(Arrays::stream).toArray();
    boolean[] mask = new boolean[ids.length];
    IntStream.range(0, ids.length).forEach(k -> mask[k] = assistant.get(k));
    return new EncodedConversation(ids, mask);
  }

  private int[] encoded(String rendered, char marker) {
    return control.encode(rendered, marker, encode);
  }

  /** A turn of the assistant with a stop token in it. */
  private int[] turn(String rendered, char marker) {
    int[] ids = encoded(rendered, marker);
    if (stop(ids) < ids.length) {
      return ids;
    }
    int[] ended = Arrays.copyOf(ids, ids.length + 1);
    ended[ids.length] = stopIds.get(0);
    return ended;
  }

  /** The index of the first stop token, the length if there is none. */
  private int stop(int[] ids) {
    return IntStream.range(0, ids.length)
        .filter(i -> stopIds.contains(ids[i]))
        .findFirst()
        .orElse(ids.length);
  }

  private static String appended(String before, String after, char marker) {
    if (!after.startsWith(before)) {
      throw JobFailure.failure(
          "Cannot use the tokenizer's chat template: with the assistant's message it renders a"
              + " conversation that does not begin as the prompt, '%s' instead of '%s'"
                  .formatted(excerpt(after, before), excerpt(before, after))
                  .replace(String.valueOf(marker), ""));
    }
    return after.substring(before.length());
  }

  /** What a text has where it begins to differ from another. */
  private static String excerpt(String text, String other) {
    int same = Arrays.mismatch(text.toCharArray(), other.toCharArray());
    return text.substring(same, Math.min(text.length(), same + 40));
  }
}
