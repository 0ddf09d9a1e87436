package io.github.sparkrlhf.reward;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import org.apache.spark.ml.linalg.SparseVector;
import org.junit.jupiter.api.Test;

class TextFeaturesTest {
  private static final int STYLES = TextStyle.NAMES.size();
  private static final int BUCKETS = 1 << 18;

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
  void countsWhatMakesATextHardToReadOrCareless() {
    String response = "Cats SLEEP , really!! Reading (much)is fun.No";
    List<String> words = TextFeatures.words(response);
    Map<String, Double> values = byName(Readability.NAMES, Readability.of(response, words));

    assertThat(words).hasSize(8);
    assertThat(values)
        .containsEntry("words_per_sentence", 8 / 3.0)
        .containsEntry("syllables_per_word", 10 / 8.0)
        .containsEntry("long_word_share", 1 / 8.0)
        .containsEntry("longest_word", 7.0)
        .containsEntry("capital_sentence_share", 1.0)
        .containsEntry("starts_with_capital", 1.0)
        .containsEntry("ends_with_stop", 0.0)
        .containsEntry("capital_word_share", 4 / 8.0)
        .containsEntry("shouted_word_share", 1 / 8.0)
        .containsEntry("bracket_rate", 2 / 8.0)
        .containsEntry("repeated_stop_rate", 1 / 8.0)
        .containsEntry("unspaced_stop_rate", 1 / 8.0)
        .containsEntry("spaced_stop_rate", 1 / 8.0)
        .containsEntry("chars", 45.0);
    assertThat(values.get("flesch_reading_ease"))
        .isCloseTo(206.835 - 1.015 * 8 / 3.0 - 84.6 * 10 / 8.0, within(1e-9));
  }

  @Test
  void countsDiscourseWords() {
    List<String> words = TextFeatures.words("But I don’t, because you can't");
    Map<String, Double> values = byName(DiscourseWords.NAMES, DiscourseWords.of(words));

    assertThat(values)
        .containsEntry("contrast_word_share", 1 / 6.0)
        .containsEntry("cause_word_share", 1 / 6.0)
        .containsEntry("negation_word_share", 2 / 6.0)
        .containsEntry("log_negation_words", Math.log1p(2))
        .containsEntry("evidence_word_share", 0.0);
  }

  private static Map<String, Double> byName(List<String> names, double[] values) {
    assertThat(values).hasSize(names.size());
    Map<String, Double> byName = new TreeMap<>();
    for (int i = 0; i < values.length; i++) {
      byName.put(names.get(i), values[i]);
    }
    return byName;
  }

  @Test
  void eachHashedBlockHasTheLengthOfItsWeight() {
    TextFeatures features = features("words:1-2,crossings:8*0.5,characters:3-5*2");

    SparseVector vector = vector(features, "where is it", "on its way, on its way");

    // 3 words and 3 different pairs of them; 3 x 3 crossings.
    assertThat(squares(vector, 0, BUCKETS)).isCloseTo(1, within(1e-9));
    assertThat(filled(vector, 0)).isEqualTo(6);
    assertThat(squares(vector, BUCKETS, 2 * BUCKETS)).isCloseTo(0.25, within(1e-9));
    assertThat(filled(vector, 1)).isEqualTo(9);
    assertThat(squares(vector, 2 * BUCKETS, 3 * BUCKETS)).isCloseTo(4, within(1e-9));
    // " on", "on ", " on ", and 3 + 2 + 1 of each of " its " and " way ".
    assertThat(filled(vector, 2)).isEqualTo(15);
  }

  @Test
  void crossesOnlyTheLastWordsOfAPrompt() {
    SparseVector one = vector(features("crossings:1"), "where is it", "here");

    assertThat(one.indices()).hasSize(1);
    assertThat(one).isEqualTo(vector(features("crossings:1"), "is it", "here"));
  }

  @Test
  void aCurveSaysHowNearANumberIsToItsKnots() {
    TextFeatures features = features("style,curves*2");
    int empty = TextStyle.NAMES.indexOf("empty");
    int first = STYLES + TextFeatures.KNOTS * empty;

    // Mean 0.25 and scale 1: a 0 lies a quarter left of the middle knot, a 1 lies beyond it.
    assertThat(curve(vector(features, "", "word"), first))
        .containsExactly(0, 0, 2 * 0.25, 2 * 0.75, 0, 0, 0);
    assertThat(curve(vector(features, "", "..."), first))
        .containsExactly(0, 0, 0, 2 * 0.25, 2 * 0.75, 0, 0);
    int chars = STYLES + TextFeatures.KNOTS * TextStyle.NAMES.indexOf("log_chars");
    assertThat(curve(vector(features, "", "x".repeat(1000)), chars))
        .as("beyond the last knot")
        .containsExactly(0, 0, 0, 0, 0, 0, 2);
  }

  private static double[] curve(SparseVector vector, int first) {
    return Arrays.copyOfRange(vector.toArray(), first, first + TextFeatures.KNOTS);
  }

  @Property(tries = 200)
  void anyTextHasFiniteFeaturesThatCancelAgainstThemselves(
      @ForAll String prompt, @ForAll String response) {
    TextFeatures features =
        features("style,readability,discourse,curves,words:1-2,characters:3-5,crossings:4");
    TextFeatures.Counts counts = counts(features, prompt, response);
    SparseVector vector = features.of(counts);

    assertThat(Arrays.stream(vector.values())).allMatch(Double::isFinite);
    assertThat(features.difference(counts, counts).numNonzeros()).isZero();
    assertThat(features.of(TextFeatures.Counts.of(counts.toBytes()))).isEqualTo(vector);
    for (int i = 1; i < vector.indices().length; i++) {
      assertThat(vector.indices()[i]).isGreaterThan(vector.indices()[i - 1]);
    }
  }

  @Test
  void aDifferenceIsThatOfTheVectors() {
    TextFeatures features = features("style,curves,words:1-2");
    TextFeatures.Counts chosen = counts(features, "q", "one two, three");
    TextFeatures.Counts rejected = counts(features, "q", "two one");
    double[] expected = features.of(chosen).toArray();
    double[] minus = features.of(rejected).toArray();
    for (int i = 0; i < expected.length; i++) {
      expected[i] -= minus[i];
    }

    assertThat(features.difference(chosen, rejected).toArray()).isEqualTo(expected);
  }

  private static TextFeatures.Counts counts(TextFeatures features, String prompt, String response) {
    return TextFeatures.counts(features.settings(), HiddenStates.NONE, prompt, response);
  }

  private static SparseVector vector(TextFeatures features, String prompt, String response) {
    return features.of(counts(features, prompt, response));
  }

  private static double squares(SparseVector vector, int from, int to) {
    double squares = 0;
    for (int i = 0; i < vector.indices().length; i++) {
      int index = vector.indices()[i];
      squares += index >= from && index < to ? vector.values()[i] * vector.values()[i] : 0;
    }
    return squares;
  }

  private static long filled(SparseVector vector, int block) {
    return Arrays.stream(vector.indices()).filter(index -> index / BUCKETS == block).count();
  }

  private static TextFeatures features(String blocks) {
    TextFeatures.Settings settings = new TextFeatures.Settings(FeatureBlock.parse(blocks), BUCKETS);
    float[] mean = new float[settings.names().size()];
    float[] scale = new float[mean.length];
    float[] idf = new float[settings.hashed().size() * BUCKETS];
    Arrays.fill(mean, 0.25f);
    Arrays.fill(scale, 1);
    Arrays.fill(idf, 1);
    return new TextFeatures(settings, new TextFeatures.Scaling(mean, scale, idf));
  }
}
