package io.github.sparkrlhf.lm;

import java.util.List;

/** Tokenizers for tests. */
public final class TestTokenizers {
  private TestTokenizers() {}

  /** Three special tokens and the 256 bytes, no merges: 259 tokens. */
  public static TokenizerFile bytes() {
    return TokenizerJson.trained(List.of());
  }
}
