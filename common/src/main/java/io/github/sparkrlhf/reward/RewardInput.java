package io.github.sparkrlhf.reward;

import io.github.sparkrlhf.lm.Tokenizer;
import io.github.sparkrlhf.training.TextExample;
import java.util.Arrays;

/** How a transformer reward model reads a prompt and a response: one token sequence. */
final class RewardInput {
  private RewardInput() {}

  /**
   * The tokens of prompt and response, the end-of-text token last. A sequence that is too long
   * loses the end of the response's text, then the start of the prompt's.
   *
   * @param maxTokens longest sequence, at least 3
   */
  static int[] tokens(Tokenizer tokenizer, String prompt, String response, int maxTokens) {
    int[] promptTokens = tokenizer.encodePrompt(prompt);
    int[] responseTokens = tokenizer.encodeResponse(response);
    int excess = promptTokens.length + responseTokens.length - maxTokens;
    if (excess > 0) {
      int fromResponse =
          Math.min(excess, responseTokens.length - Math.min(2, responseTokens.length));
      responseTokens = withoutEnd(responseTokens, fromResponse);
      promptTokens = withoutStart(promptTokens, excess - fromResponse);
    }
    return TextExample.concatenated(promptTokens, responseTokens);
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
