package io.github.sparkrlhf.reward;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.sparkrlhf.lm.TestTokenizers;
import io.github.sparkrlhf.lm.Tokenizer;
import org.junit.jupiter.api.Test;

class RewardInputTest {
  private static final Tokenizer TOKENIZER = Tokenizer.of(TestTokenizers.bytes());

  @Test
  void whatFitsIsWhole() {
    assertThat(read("abc", "xyz", 9)).isEqualTo("abc\nxyz");
    assertThat(RewardInput.truncates(TOKENIZER, "abc", "xyz", 9)).isFalse();
    assertThat(RewardInput.truncates(TOKENIZER, "abc", "xyz", 8)).isTrue();
  }

  @Test
  void aLongPromptLosesItsStart() {
    assertThat(read("0123456789", "xyz", 12)).isEqualTo("456789\nxyz");
  }

  @Test
  void aQuarterOfTheRoomIsLeftToThePromptAndTheResponseLosesItsEnd() {
    assertThat(read("0123456789", "abcdefghij", 12)).isEqualTo("9\nabcdefgh");
    assertThat(read("p", "abcdefghijklmnop", 12)).isEqualTo("p\nabcdefgh");
  }

  @Test
  void theSequenceStillBeginsAndEnds() {
    int[] tokens = RewardInput.tokens(TOKENIZER, "0123456789", "abcdefghij", 12);
    assertThat(tokens).hasSize(12).startsWith(TOKENIZER.bosId()).endsWith(TOKENIZER.eosId());
  }

  private static String read(String prompt, String response, int maxTokens) {
    return TOKENIZER.decode(RewardInput.tokens(TOKENIZER, prompt, response, maxTokens));
  }
}
