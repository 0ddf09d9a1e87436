package io.github.sparkrlhf.feedback;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.HashSet;
import java.util.Random;
import java.util.Set;
import org.junit.jupiter.api.Test;

class MinHashTest {
  @Test
  void jaccardIsThatOfTheSetsOfRunsOfFiveCodePoints() {
    // abcde bcdef cdefg against bcdef cdefg defgh: 2 of 4.
    assertThat(Shingles.jaccard("abcdefg", "bcdefgh")).isEqualTo(0.5);
    assertThat(Shingles.jaccard("aaaaaaa", "aaaaa")).isEqualTo(1);
    assertThat(Shingles.jaccard("abc", "abd")).isEqualTo(0);
    assertThat(Shingles.jaccard("abc", "abc")).isEqualTo(1);
    assertThat(Shingles.jaccard("😀😁😂😃😄😅", "😀😁😂😃😄")).isEqualTo(0.5);
    Random random = new Random(1);
    for (int i = 0; i < 200; i++) {
      String a = text(random, random.nextInt(40));
      String b = text(random, random.nextInt(40));
      assertThat(Shingles.jaccard(a, b)).isEqualTo(jaccard(a, b));
    }
  }

  @Test
  void theChanceOfACommonBandFollowsTheCurve() {
    // Two texts of 200 shingles each that differ in their tails.
    for (double similarity : new double[] {0.3, 0.5, 0.7, 0.8}) {
      int met = 0;
      double realised = 0;
      int tries = 1000;
      for (int i = 0; i < tries; i++) {
        int length = 204;
        int common = (int) Math.round(2 * similarity / (1 + similarity) * (length - 4)) + 4;
        String start = letters(i * 3, common);
        String a = start + letters(i * 3 + 1, length - common);
        String b = start + letters(i * 3 + 2, length - common);
        realised += Shingles.jaccard(a, b) / tries;
        met += haveCommonBand(a, b) ? 1 : 0;
      }
      assertThat(realised).isCloseTo(similarity, within(0.01));
      assertThat((double) met / tries).isCloseTo(MinHash.recall(similarity), within(0.05));
    }
    assertThat(MinHash.recall(0.8)).isCloseTo(0.9998, within(5e-5));
  }

  private static boolean haveCommonBand(String a, String b) {
    long[] left = MinHash.bands(a);
    long[] right = MinHash.bands(b);
    for (int i = 0; i < left.length; i++) {
      if (left[i] == right[i]) {
        return true;
      }
    }
    return false;
  }

  /** Random ideographs: no run of five occurs twice. */
  private static String letters(long seed, int length) {
    StringBuilder text = new StringBuilder();
    new Random(seed).ints(length, 0x4E00, 0x9F00).forEach(text::appendCodePoint);
    return text.toString();
  }

  private static String text(Random random, int length) {
    StringBuilder text = new StringBuilder();
    random.ints(length, 0, 2).forEach(i -> text.append(i == 0 ? "a" : "b"));
    return text.toString();
  }

  private static double jaccard(String a, String b) {
    Set<String> all = shingles(a);
    Set<String> common = shingles(a);
    all.addAll(shingles(b));
    common.retainAll(shingles(b));
    return (double) common.size() / all.size();
  }

  private static Set<String> shingles(String text) {
    Set<String> shingles = new HashSet<>();
    for (int i = 0; i + 5 <= text.length(); i++) {
      shingles.add(text.substring(i, i + 5));
    }
    if (text.length() < 5) {
      shingles.add(text);
    }
    return shingles;
  }
}
