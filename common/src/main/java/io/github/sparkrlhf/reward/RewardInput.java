package io.github.sparkrlhf.reward;

import io.github.sparkrlhf.lm.Tokenizer;
import io.github.sparkrlhf.training.TextExample;
import java.util.Arrays;

/** How a transformer reward model reads a prompt and a response: one token sequence. */
final class RewardInput {
  /** A long prompt keeps at least one part in so many of the room. */
  private static final int PROMPT_SHARE = 4;

  private RewardInput() {}

  /**
   * The tokens of prompt and response, the end-of-text token last. A sequence that is too long
   * loses the start of the prompt's text, as long as that leaves a quarter of the room to the
   * prompt, then the end of the response's text.
   *
   * @param maxTokens longest sequence, at least 3
   */
  static int[] tokens(Tokenizer tokenizer, String prompt, String response, int maxTokens) {
    Parts parts = parts(tokenizer, prompt, response, maxTokens);
    return TextExample.concatenated(parts.prompt(), parts.response());
  }

  /**
   * What {@link #tokens} puts together.
   *
   * @param prompt at least one token
   * @param response at least one, the end-of-text token last
   */
  record Parts(int[] prompt, int[] response) {}

  /** The tokens of prompt and response apart, cut as {@link #tokens} says. */
  static Parts parts(Tokenizer tokenizer, String prompt, String response, int maxTokens) {
    int[] promptTokens = tokenizer.encodePrompt(prompt);
    int[] responseTokens = tokenizer.encodeResponse(response);
    int excess = promptTokens.length + responseTokens.length - maxTokens;
    if (excess > 0) {
      int spare = Math.max(0, promptTokens.length - Math.max(1, maxTokens / PROMPT_SHARE));
      int fromPrompt = Math.min(excess, spare);
      promptTokens = withoutStart(promptTokens, fromPrompt);
      responseTokens = withoutEnd(responseTokens, excess - fromPrompt);
    }
    return new Parts(promptTokens, responseTokens);
  }

  /** Whether {@link #tokens} leaves something out. */
  static boolean truncates(Tokenizer tokenizer, String prompt, String response, int maxTokens) {
    int length = tokenizer.encodePrompt(prompt).length + tokenizer.encodeResponse(response).length;
    return length > maxTokens;
  }

  private static int[] withoutEnd(int[] tokens, int dropped) {
    int[] kept = Arrays.copyOf(tokens, tokens.length - dropped);
    kept[kept.length - 1] = tokens[tokens.length - 1];
    return kept;
  }

  private static int[] withoutStart(int[] tokens, int dropped) {
    int[] kept = Arrays.copyOfRange(tokens, dropped, tokens.length);
    kept[0] = tokens[0];
    return kept;
  }
}
