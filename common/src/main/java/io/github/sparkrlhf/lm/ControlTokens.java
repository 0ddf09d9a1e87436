package io.github.sparkrlhf.lm;

import io.github.sparkrlhf.lm.TokenizerJson.ControlToken;
import io.github.sparkrlhf.spark.JobFailure;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Function;

/**
 * Control tokens of a rendered conversation: those that the template wrote are tokens, those that
 * somebody said are text. Before rendering, a marker is put into what people said wherever it
 * spells a control token, or could with the template's text before and behind; after rendering,
 * control tokens are found, and the marker is taken out of the text between them.
 */
final class ControlTokens {
  private static final char FIRST_MARKER = '\uFDD0';
  private static final char LAST_MARKER = '\uFDEF';

  private final List<ControlToken> tokens;

  /**
   * @param tokens the control tokens, the longest first
   */
  ControlTokens(List<ControlToken> tokens) {
    this.tokens = tokens;
  }

  /**
   * A noncharacter that stands nowhere in a conversation or a template.
   *
   * @throws JobFailure if all stand there
   */
  static char marker(List<ChatMessage> messages, String template) {
    for (char marker = FIRST_MARKER; marker <= LAST_MARKER; marker++) {
      char candidate = marker;
      if (template.indexOf(candidate) < 0
          && messages.stream()
              .noneMatch(
                  message ->
                      message.content().indexOf(candidate) >= 0
                          || message.role().indexOf(candidate) >= 0)) {
        return candidate;
      }
    }
    throw JobFailure.failure(
        "Cannot render a conversation: it contains every noncharacter from U+FDD0 to U+FDEF");
  }

  /** The messages with the marker in all that must stay text. */
  List<ChatMessage> guarded(List<ChatMessage> messages, char marker) {
    return messages.stream()
        .map(
            message ->
                new ChatMessage(
                    guarded(message.role(), marker), guarded(message.content(), marker)))
        .toList();
  }

  /** Every occurrence is broken behind its first character, however they overlap. */
  private String guarded(String text, char marker) {
    StringBuilder guarded = new StringBuilder();
    for (int i = 0; i < text.length(); i++) {
      guarded.append(text.charAt(i));
      if (startsToken(text, i)) {
        guarded.append(marker);
      }
    }
    return guardedEnds(guarded.toString(), marker);
  }

  private boolean startsToken(String text, int at) {
    return tokens.stream().anyMatch(token -> text.startsWith(token.content(), at));
  }

  /** Also where outer text could complete a token; outer white space may be stripped. */
  private String guardedEnds(String text, char marker) {
    String core = PythonText.strip(text, null);
    if (core.isEmpty()) {
      return text;
    }
    int start = text.indexOf(core);
    boolean opens = tokens.stream().anyMatch(token -> endsAtStart(token.content(), core));
    boolean closes = tokens.stream().anyMatch(token -> startsAtEnd(token.content(), core));
    return text.substring(0, start)
        + (opens ? marker : "")
        + core
        + (closes ? marker : "")
        + text.substring(start + core.length());
  }

  /** Whether a text starts with a proper suffix of a token, or lies within one. */
  private static boolean endsAtStart(String token, String text) {
    for (int i = 1; i < token.length(); i++) {
      if (text.startsWith(token.substring(i)) || token.startsWith(text, i)) {
        return true;
      }
    }
    return false;
  }

  /** Whether a text ends with a proper prefix of a token, or lies within one. */
  private static boolean startsAtEnd(String token, String text) {
    for (int i = 1; i < token.length(); i++) {
      if (text.endsWith(token.substring(0, i))) {
        return true;
      }
    }
    return token.length() > text.length() && token.contains(text);
  }

  /**
   * The tokens of a rendering.
   *
   * @param encode encodes text without control tokens
   */
  int[] encode(String rendered, char marker, Function<String, int[]> encode) {
    List<int[]> parts = new ArrayList<>();
    int start = 0;
    int at = 0;
    while (at < rendered.length()) {
      ControlToken token = at(rendered, at);
      if (token == null) {
        at++;
        continue;
      }
      String before = rendered.substring(start, at);
      add(parts, token.stripsLeft() ? PythonText.rightStrip(before, null) : before, marker, encode);
      parts.add(new int[] {token.id()});
      at += token.content().length();
      while (token.stripsRight() && at < rendered.length()) {
        if (!PythonText.isSpace(rendered.charAt(at))) {
          break;
        }
        at++;
      }
      start = at;
    }
    add(parts, rendered.substring(start), marker, encode);
    return parts.stream().flatMapToInt(java.util.Arrays::stream).toArray();
  }

  private ControlToken at(String rendered, int at) {
    for (ControlToken token : tokens) {
      if (rendered.startsWith(token.content(), at)) {
        return token;
      }
    }
    return null;
  }

  private static void add(
      List<int[]> parts, String text, char marker, Function<String, int[]> encode) {
    String plain = text.replace(String.valueOf(marker), "");
    if (!plain.isEmpty()) {
      parts.add(encode.apply(plain));
    }
  }
}
