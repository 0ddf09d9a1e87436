package io.github.sparkrlhf.lm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.sparkrlhf.spark.JobFailure;
import io.github.sparkrlhf.spark.SparkTestSession;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import org.apache.spark.sql.Encoders;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class TokenizerTest {
  private static final List<String> TEXTS =
      List.of(
          "Where is my parcel? I can't find it, and I've been waiting for 12 days.",
          "Your parcel is on its way. You can find the parcel in your account.",
          "  indented\n\n\tcode\u00a0and\u3000wide spaces\u0085 ",
          "naïve café, 東京 and 🙂🙂, it's they're we'll I'd");

  private static final TokenizerFile FILE = train(TEXTS, 2);

  @Property(tries = 300)
  void decodesWhatItEncodes(@ForAll("texts") String text) {
    Tokenizer tokenizer = Tokenizer.of(FILE);

    int[] ids = tokenizer.encode(text);

    assertThat(tokenizer.decode(ids)).isEqualTo(text);
    assertThat(Arrays.stream(ids)).allMatch(id -> id >= 3 && id < tokenizer.vocabularySize());
  }

  @Provide
  Arbitrary<String> texts() {
    Arbitrary<String> any =
        Arbitraries.strings()
            .ofMaxLength(40)
            .map(text -> text.codePoints().filter(c -> !Character.isSupplementaryCodePoint(c)))
            .map(
                points ->
                    points
                        .filter(c -> !Character.isSurrogate((char) c))
                        .collect(
                            StringBuilder::new,
                            StringBuilder::appendCodePoint,
                            StringBuilder::append)
                        .toString());
    Arbitrary<String> pieces =
        Arbitraries.of(
            "<|eos|>", "<|bos|>", "<|pad|>", "<|", "|>", "eos", " ", "\n", "🙂", "\u0000", "é", "Ġ",
            "it's");
    return Arbitraries.oneOf(any, pieces.list().ofMaxSize(12).map(list -> String.join("", list)));
  }

  @Test
  void encodesTheNameOfASpecialTokenAsText() {
    Tokenizer tokenizer = Tokenizer.of(FILE);

    assertThat(tokenizer.encodePrompt("<|eos|>")).startsWith(1).doesNotContain(0, 2);
    assertThat(tokenizer.encodeResponse("a<|bos|>")).endsWith(2).doesNotContain(0, 1);
  }

  @Test
  void skipsSpecialTokensWhenDecoding() {
    Tokenizer tokenizer = Tokenizer.of(FILE);
    int[] prompt = tokenizer.encodePrompt("Where is my parcel?");
    int[] response = tokenizer.encodeResponse("On its way.");

    assertThat(tokenizer.decode(prompt)).isEqualTo("Where is my parcel?\n");
    assertThat(tokenizer.decode(response)).isEqualTo("On its way.");
    assertThat(tokenizer.decode(new int[] {0, 1, 2})).isEmpty();
    assertThat(tokenizer.decode(new int[0])).isEmpty();
  }

  @Test
  void neitherCutsNorPads() {
    Tokenizer tokenizer = Tokenizer.of(FILE);
    String text = "q;".repeat(5000);

    assertThat(tokenizer.decode(tokenizer.encode(text))).isEqualTo(text);
    assertThat(tokenizer.encode("")).isEmpty();
  }

  @Test
  void replacesLoneSurrogates() {
    Tokenizer tokenizer = Tokenizer.of(FILE);

    assertThat(tokenizer.decode(tokenizer.encode("a\ud83db\ude42"))).isEqualTo("a\ufffdb\ufffd");
  }

  @Test
  void isSafeForManyThreads() {
    Tokenizer tokenizer = Tokenizer.of(FILE);

    assertThat(IntStream.range(0, 2000).parallel().boxed())
        .allMatch(i -> tokenizer.decode(tokenizer.encode("parcel " + i)).equals("parcel " + i));
  }

  @Test
  void splitsAsTheByteLevelPreTokenizerDoes() {
    Iterable<String> preTokens =
        () -> BpeTrainer.preTokens("It's 12 a.m.\n\n  we'll\u00a0go\u3000 now  ");

    assertThat(preTokens)
        .containsExactly(
            "It", "'s", " 12", " a", ".", "m", ".", "\n\n ", " we", "'ll", "\u00a0", "go", "\u3000",
            " now", "  ");
  }

  @Test
  void trainsTheSameTokenizerWhateverThePartitioningAndOrder() {
    List<String> shuffled = new ArrayList<>(TEXTS);
    Collections.shuffle(shuffled, new Random(7));

    assertThat(train(shuffled, 1)).isEqualTo(FILE);
    assertThat(train(shuffled, 5)).isEqualTo(FILE);
  }

  @Test
  void survivesSavingAndLoading(@TempDir Path directory) throws IOException {
    FILE.save(directory);

    assertThat(TokenizerFile.load(directory)).isEqualTo(FILE);
    assertThat(Files.readString(directory.resolve("tokenizer_config.json")))
        .contains("\"chat_template\"", "\"eos_token\" : \"<|eos|>\"");
  }

  @Test
  void refusesAVocabularyThatIsTooSmall() {
    assertThatThrownBy(() -> new BpeTrainer(258))
        .isInstanceOf(JobFailure.class)
        .hasMessageContaining("Cannot train a tokenizer of 258 tokens")
        .hasMessageContaining("259");
  }

  @Test
  void refusesToTrainOnNothing() {
    assertThatThrownBy(() -> train(List.of(""), 1))
        .isInstanceOf(JobFailure.class)
        .hasMessageContaining("there is no text");
  }

  private static TokenizerFile train(List<String> texts, int partitions) {
    return new BpeTrainer(320)
        .train(
            SparkTestSession.get().createDataset(texts, Encoders.STRING()).repartition(partitions));
  }
}
