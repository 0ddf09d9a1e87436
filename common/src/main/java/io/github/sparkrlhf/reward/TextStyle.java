package io.github.sparkrlhf.reward;

import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.regex.Pattern;

/** How a response is written, in a few numbers, whatever it says. */
final class TextStyle {
  /** The names of the features, in their order. */
  static final List<String> NAMES =
      List.of(
          "log_chars",
          "log_words",
          "mean_word_length",
          "log_sentences",
          "log_lines",
          "comma_rate",
          "log_question_marks",
          "log_exclamation_marks",
          "log_list_items",
          "log_markdown_marks",
          "uppercase_share",
          "digit_share",
          "type_token_ratio",
          "prompt_overlap",
          "empty");

  private static final Pattern SENTENCE_END = Pattern.compile("[.!?。！？]+");
  private static final Pattern LIST_ITEM =
      Pattern.compile("^\\s*(?:[-*•]|\\d{1,3}[.)])\\s", Pattern.MULTILINE);
  private static final Pattern MARKDOWN_MARK =
      Pattern.compile("\\*\\*|__|`+|^#{1,6}\\s", Pattern.MULTILINE);

  private TextStyle() {}

  /**
   * The features of a response.
   *
   * @param promptWords the words of the prompt
   * @param words the words of the response
   * @return one number for each of {@link #NAMES}
   */
  static double[] of(String response, List<String> promptWords, List<String> words) {
    int chars = response.length();
    Set<String> types = new HashSet<>(words);
    Set<String> asked = new HashSet<>(promptWords);
    int askedTypes = asked.size();
    asked.retainAll(types);
    int wordChars = words.stream().mapToInt(String::length).sum();
    int words1 = Math.max(1, words.size());
    return new double[] {
      Math.log1p(chars),
      Math.log1p(words.size()),
      (double) wordChars / words1,
      Math.log1p((double) count(SENTENCE_END, response)),
      Math.log1p((double) response.chars().filter(c -> c == '\n').count()),
      (double) response.chars().filter(c -> c == ',').count() / words1,
      Math.log1p((double) response.chars().filter(c -> c == '?').count()),
      Math.log1p((double) response.chars().filter(c -> c == '!').count()),
      Math.log1p((double) count(LIST_ITEM, response)),
      Math.log1p((double) count(MARKDOWN_MARK, response)),
      share(response.chars().filter(Character::isUpperCase).count(), chars),
      share(response.chars().filter(Character::isDigit).count(), chars),
      share(types.size(), words.size()),
      share(asked.size(), askedTypes),
      words.isEmpty() ? 1 : 0
    };
  }

  private static long count(Pattern pattern, String text) {
    return pattern.matcher(text).results().count();
  }

  private static double share(long part, int whole) {
    return whole == 0 ? 0 : (double) part / whole;
  }
}
