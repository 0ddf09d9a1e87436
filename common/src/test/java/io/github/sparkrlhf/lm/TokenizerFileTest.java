package io.github.sparkrlhf.lm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.sparkrlhf.spark.JobFailure;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Tokenizers that others wrote: merges as pairs, whole words looked up, tokens outside BPE. */
class TokenizerFileTest {
  private static final String FOREIGN =
      """
      {"version": "1.0", "truncation": {"max_length": 2, "strategy": "LongestFirst", "stride": 0,
        "direction": "Right"}, "padding": null,
       "added_tokens": [
         {"id": 10, "content": "end", "single_word": false, "lstrip": false, "rstrip": false,
          "normalized": false, "special": true},
         {"id": 11, "content": "<think>", "single_word": false, "lstrip": false, "rstrip": false,
          "normalized": false, "special": false}],
       "normalizer": null,
       "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
         "use_regex": true},
       "post_processor": null,
       "decoder": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
         "use_regex": true},
       "model": {"type": "BPE", "dropout": null, "unk_token": null,
         "continuing_subword_prefix": null, "end_of_word_suffix": null, "fuse_unk": false,
         "byte_fallback": false, "ignore_merges": true,
         "vocab": {"e": 0, "n": 1, "d": 2, "<": 3, ">": 4, "t": 5, "h": 6, "i": 7, "k": 8,
           "en": 9, "end": 10},
         "merges": [["e", "n"], ["en", "d"]]}}
      """;

  @TempDir Path directory;

  @BeforeEach
  void write() throws IOException {
    Files.writeString(directory.resolve("tokenizer.json"), FOREIGN);
    config("{\"eos_token\": {\"content\": \"end\"}, \"bos_token\": null}");
  }

  @Test
  void takesTheEndTokenWhereNoOtherIsNamed() {
    TokenizerFile file = TokenizerFile.load(directory);

    assertThat(file.eosId()).isEqualTo(10);
    assertThat(file.bosId()).isEqualTo(10);
    assertThat(file.padId()).isEqualTo(10);
  }

  @Test
  void readsTheSpecialTokensMapWhereThereIsNoConfiguration() throws IOException {
    Files.delete(directory.resolve("tokenizer_config.json"));
    Files.writeString(
        directory.resolve("special_tokens_map.json"),
        "{\"eos_token\": \"end\", \"pad_token\": \"<think>\"}");

    assertThat(TokenizerFile.load(directory).padId()).isEqualTo(11);
  }

  @Test
  void encodesControlTokensAsTextAndDecodesMarkers() {
    Tokenizer tokenizer = Tokenizer.of(TokenizerFile.load(directory));

    assertThat(tokenizer.vocabularySize()).isEqualTo(12);
    assertThat(tokenizer.encode("end")).containsExactly(9, 2);
    assertThat(tokenizer.encode("<think>")).containsExactly(3, 5, 6, 7, 1, 8, 4);
    assertThat(tokenizer.decode(new int[] {11, 5, 10})).isEqualTo("<think>t");
  }

  @Test
  void keepsTheTokensOfAForeignTokenizer(@TempDir Path copy) {
    TokenizerFile file = TokenizerFile.load(directory);

    file.save(copy);

    assertThat(TokenizerFile.load(copy)).isEqualTo(file);
  }

  @Test
  void namesWhatIsMissing() throws IOException {
    config("{}");
    assertFails("neither tokenizer_config.json nor special_tokens_map.json names an eos_token");
    config("{\"eos_token\": \"</s>\"}");
    assertFails("its eos_token '</s>' is not among its tokens");
    config("{");
    assertFails("tokenizer_config.json: it is not JSON");
    Files.writeString(directory.resolve("tokenizer.json"), "{\"model\": {\"type\": \"Unigram\"}}");
    assertFails("holds no tokenizer of type BPE");
    Files.delete(directory.resolve("tokenizer.json"));
    assertFails("tokenizer.json: there is no such file");
  }

  private void config(String json) throws IOException {
    Files.writeString(directory.resolve("tokenizer_config.json"), json);
  }

  private void assertFails(String message) {
    assertThatThrownBy(() -> TokenizerFile.load(directory))
        .isInstanceOf(JobFailure.class)
        .hasMessageStartingWith("Cannot read ")
        .hasMessageContaining(message);
  }
}
