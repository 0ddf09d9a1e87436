package io.github.sparkrlhf.reward;

import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.regex.Pattern;

/**
 * How hard a response is to read and how carefully it is written, in a few numbers. Syllables are
 * counted as groups of vowels, which suits English.
 */
final class Readability {
  /** The names of the features, in their order. */
  static final List<String> NAMES =
      List.of(
          "words_per_sentence",
          "log_words_per_sentence",
          "syllables_per_word",
          "long_word_share",
          "log_long_words",
          "longest_word",
          "flesch_reading_ease",
          "automated_readability_index",
          "different_words",
          "log_different_words",
          "sqrt_chars",
          "chars",
          "capital_sentence_share",
          "starts_with_capital",
          "ends_with_stop",
          "capital_word_share",
          "shouted_word_share",
          "log_commas",
          "quote_rate",
          "bracket_rate",
          "colon_rate",
          "apostrophe_rate",
          "repeated_stop_rate",
          "unspaced_stop_rate",
          "spaced_stop_rate",
          "repeated_letter_rate",
          "blank_share",
          "mark_share");

  private static final int LONG_WORD = 7;
  private static final Pattern SENTENCE_END = Pattern.compile("[.!?。！？]+");
  private static final Pattern VOWELS = Pattern.compile("[aeiouy]+");
  private static final Pattern CAPITAL_WORD = Pattern.compile("\\b\\p{Lu}");
  private static final Pattern SHOUTED_WORD = Pattern.compile("\\b\\p{Lu}{2,}\\b");
  private static final Pattern REPEATED_STOP = Pattern.compile("[.!?]{2,}");
  private static final Pattern UNSPACED_STOP = Pattern.compile("\\p{L}[.,!?;]\\p{L}");
  private static final Pattern SPACED_STOP = Pattern.compile("\\s[.,!?]");
  private static final Pattern REPEATED_LETTER = Pattern.compile("(\\p{L})\\1\\1");

  private Readability() {}

  /**
   * The features of a response.
   *
   * @param words the words of the response, in lower case
   * @return one number for each of {@link #NAMES}
   */
  static double[] of(String response, List<String> words) {
    List<String> sentences =
        Arrays.stream(SENTENCE_END.split(response))
            .map(String::strip)
            .filter(s -> !s.isEmpty())
            .toList();
    double sentenceCount = Math.max(1, sentences.size());
    double wordCount = Math.max(1, words.size());
    double chars = response.length();
    double syllables = words.stream().mapToDouble(Readability::syllables).sum() / wordCount;
    double letters = words.stream().mapToInt(String::length).sum() / wordCount;
    double longWords = words.stream().filter(word -> word.length() >= LONG_WORD).count();
    double different = new HashSet<>(words).size();
    double perSentence = words.size() / sentenceCount;
    String text = response.strip();
    return new double[] {
      perSentence,
      Math.log1p(perSentence),
      syllables,
      longWords / wordCount,
      Math.log1p(longWords),
      words.stream().mapToInt(String::length).max().orElse(0),
      206.835 - 1.015 * perSentence - 84.6 * syllables,
      4.71 * letters + 0.5 * perSentence - 21.43,
      different,
      Math.log1p(different),
      Math.sqrt(chars),
      chars,
      sentences.stream().filter(s -> Character.isUpperCase(s.codePointAt(0))).count()
          / sentenceCount,
      !text.isEmpty() && Character.isUpperCase(text.codePointAt(0)) ? 1 : 0,
      text.endsWith(".") || text.endsWith("!") || text.endsWith("?") ? 1 : 0,
      count(CAPITAL_WORD, response) / wordCount,
      count(SHOUTED_WORD, response) / wordCount,
      Math.log1p(count(response, ",")),
      count(response, "\"“”") / wordCount,
      count(response, "()") / wordCount,
      count(response, ":;") / wordCount,
      count(response, "'’") / wordCount,
      count(REPEATED_STOP, response) / wordCount,
      count(UNSPACED_STOP, response) / wordCount,
      count(SPACED_STOP, response) / wordCount,
      count(REPEATED_LETTER, response) / wordCount,
      response.chars().filter(Character::isWhitespace).count() / Math.max(1, chars),
      response
              .chars()
              .filter(c -> !Character.isLetterOrDigit(c) && !Character.isWhitespace(c))
              .count()
          / Math.max(1, chars)
    };
  }

  /** Groups of vowels, a last silent e not counted; at least 1. */
  private static double syllables(String word) {
    String spoken = word.endsWith("e") ? word.substring(0, word.length() - 1) : word;
    return Math.max(1, count(VOWELS, spoken));
  }

  private static double count(Pattern pattern, String text) {
    return pattern.matcher(text).results().count();
  }

  private static double count(String text, String marks) {
    return text.chars().filter(c -> marks.indexOf(c) >= 0).count();
  }
}
