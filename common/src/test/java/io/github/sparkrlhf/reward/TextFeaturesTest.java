package io.github.sparkrlhf.reward;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.Arrays;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import org.apache.spark.ml.linalg.SparseVector;
import org.junit.jupiter.api.Test;

class TextFeaturesTest {
  private static final int STYLES = TextStyle.NAMES.size();

  @Test
  void measuresStyle() {
    String response = "# Hi!\n- One, two\n- **THREE**?\n";

    assertThat(style("one of the words", response, "log_chars")).isEqualTo(Math.log1p(30));
    assertThat(style("one of the words", response, "log_words")).isEqualTo(Math.log1p(4));
    assertThat(style("one of the words", response, "mean_word_length")).isEqualTo(13 / 4.0);
    assertThat(style("one of the words", response, "log_sentences")).isEqualTo(Math.log1p(2));
    assertThat(style("one of the words", response, "log_lines")).isEqualTo(Math.log1p(3));
    assertThat(style("one of the words", response, "comma_rate")).isEqualTo(0.25);
    assertThat(style("one of the words", response, "log_list_items")).isEqualTo(Math.log1p(2));
    assertThat(style("one of the words", response, "log_markdown_marks")).isEqualTo(Math.log1p(3));
    assertThat(style("one of the words", response, "uppercase_share")).isEqualTo(7 / 30.0);
    assertThat(style("one of the words", response, "prompt_overlap")).isEqualTo(0.25);
    assertThat(style("one of the words", response, "type_token_ratio")).isEqualTo(1);
    assertThat(style("one of the words", " ... ", "empty")).isEqualTo(1);
  }

  private static double style(String prompt, String response, String name) {
    double[] values =
        TextStyle.of(response, TextFeatures.words(prompt), TextFeatures.words(response));
    assertThat(values).hasSize(STYLES);
    return values[TextStyle.NAMES.indexOf(name)];
  }

  @Test
  void wordsAndCrossingsHaveLengthOneEach() {
    TextFeatures features = features(1 << 20, 8);

    SparseVector vector = features.of("where is it", "on its way, on its way");

    // 3 words, 3 different word pairs, 3 x 3 crossings.
    assertThat(Arrays.stream(vector.indices()).filter(i -> i >= STYLES)).hasSize(15);
    assertThat(squaresOfBuckets(vector)).isCloseTo(2, within(1e-9));
  }

  @Test
  void crossesOnlyTheLastWordsOfAPromptIfAny() {
    SparseVector none = features(1 << 20, 0).of("where is it", "here");
    SparseVector one = features(1 << 20, 1).of("where is it", "here");

    assertThat(Arrays.stream(none.indices()).filter(i -> i >= STYLES)).hasSize(1);
    assertThat(Arrays.stream(one.indices()).filter(i -> i >= STYLES)).hasSize(2);
    assertThat(one).isEqualTo(features(1 << 20, 1).of("is it", "here"));
  }

  @Property(tries = 200)
  void anyTextHasFiniteFeaturesThatCancelAgainstThemselves(
      @ForAll String prompt, @ForAll String response) {
    TextFeatures features = features(64, 4);

    assertThat(Arrays.stream(features.of(prompt, response).values())).allMatch(Double::isFinite);
    assertThat(features.difference(prompt, response, response).numNonzeros()).isZero();
  }

  private static double squaresOfBuckets(SparseVector vector) {
    double squares = 0;
    for (int i = 0; i < vector.indices().length; i++) {
      squares += vector.indices()[i] < STYLES ? 0 : vector.values()[i] * vector.values()[i];
    }
    return squares;
  }

  private static TextFeatures features(int buckets, int promptWords) {
    float[] scale = new float[STYLES];
    float[] idf = new float[buckets];
    Arrays.fill(scale, 1);
    Arrays.fill(idf, 1);
    return new TextFeatures(new TextFeatures.Settings(buckets, promptWords), scale, idf);
  }
}
