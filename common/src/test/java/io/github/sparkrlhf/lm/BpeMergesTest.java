package io.github.sparkrlhf.lm;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.AlphaChars;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.Size;
import net.jqwik.api.constraints.StringLength;
import org.junit.jupiter.api.Test;

class BpeMergesTest {
  /** The words of Sennrich et al. (2016); merges worked out on paper with our order of ties. */
  private static final Map<String, Long> SENNRICH =
      Map.of("low", 5L, "lower", 2L, "newest", 6L, "widest", 3L);

  @Test
  void learnsTheMergesOfTheExampleOfSennrich() {
    assertThat(learn(SENNRICH, 100))
        .containsExactly(
            "e+s", "es+t", "l+o", "lo+w", "e+w", "ew+est", "n+ewest", "d+est", "i+dest", "w+idest",
            "e+r", "low+er");
  }

  @Test
  void stopsWhenThereAreEnoughTokens() {
    assertThat(learn(SENNRICH, 3)).containsExactly("e+s", "es+t", "l+o");
  }

  @Test
  void countsOverlappingPairsFromTheLeft() {
    assertThat(learn(Map.of("aaaaa", 2L), 10)).containsExactly("a+a", "aa+a", "aa+aaa");
  }

  @Property(tries = 100)
  void equalsTheAlgorithmThatRecountsAfterEachMerge(
      @ForAll @Size(max = 30) Map<@StringLength(max = 8) @AlphaChars String, Integer> seeds,
      @ForAll @IntRange(max = 40) int newTokens) {
    Map<String, Long> counts = new TreeMap<>();
    seeds.forEach(
        (word, seed) ->
            counts.merge(word.replaceAll("[f-zF-Z]", "a"), 1L + Math.floorMod(seed, 4), Long::sum));

    assertThat(learn(counts, newTokens)).isEqualTo(NaiveBpe.learn(counts, newTokens));
  }

  private static List<String> learn(Map<String, Long> counts, int newTokens) {
    return BpeMerges.learn(counts, newTokens).stream()
        .map(merge -> text(merge.left()) + "+" + text(merge.right()))
        .toList();
  }

  private static String text(byte[] bytes) {
    return new String(bytes, StandardCharsets.UTF_8);
  }
}
