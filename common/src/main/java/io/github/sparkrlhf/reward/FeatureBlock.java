package io.github.sparkrlhf.reward;

import io.github.sparkrlhf.spark.JobFailure;
import java.io.Serializable;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.IntStream;

/**
 * Features of one sort. Written as {@code words:1-2*0.5}: the sort, its range, and what all its
 * features are multiplied by.
 *
 * @param kind the sort
 * @param low shortest n-gram, or for crossings how many words of the prompt, or for states how many
 *     numbers a state has, 0 as long as that is not known; 0 if the sort has no range
 * @param high longest n-gram; {@code low} if the sort has no n-grams
 * @param weight greater than 0; the penalty on weights spares features with a greater one
 */
public record FeatureBlock(Kind kind, int low, int high, double weight) implements Serializable {
  /** The features if nobody asks for others. */
  public static final String DEFAULT = "style,words:1-2,crossings:16";

  private static final int LONGEST_GRAM = 8;
  private static final int MOST_PROMPT_WORDS = 1024;
  private static final int WIDEST_STATE = 1 << 16;
  private static final Pattern TEXT =
      Pattern.compile("([a-z]+)(?::(\\d{1,5})(?:-(\\d{1,5}))?)?(?:\\*(\\d+(?:\\.\\d+)?))?");

  /** The sorts of features. */
  public enum Kind {
    /** {@link TextStyle}: numbers. */
    STYLE(TextStyle.NAMES),
    /** {@link Readability}: numbers. */
    READABILITY(Readability.NAMES),
    /** {@link DiscourseWords}: numbers. */
    DISCOURSE(DiscourseWords.NAMES),
    /** {@link HiddenStates} of a language model: numbers. */
    STATES(List.of()),
    /** All numbers of the other blocks once more, each as a piecewise linear curve. */
    CURVES(List.of()),
    /** Hashed n-grams of words of the response. */
    WORDS(1, 2),
    /** Hashed n-grams of characters within words of the response. */
    CHARACTERS(3, 5),
    /** Hashed pairs of a word of the prompt and a word of the response. */
    CROSSINGS(16, 16);

    private final int low;
    private final int high;

    // An unmodifiable list whose type does not say so.
    @SuppressWarnings("ImmutableEnumChecker")
    private final List<String> names;

    Kind(List<String> names) {
      this.low = 0;
      this.high = 0;
      this.names = names;
    }

    Kind(int low, int high) {
      this.low = low;
      this.high = high;
      this.names = List.of();
    }

    boolean isHashed() {
      return low > 0;
    }

    private boolean hasGrams() {
      return low != high;
    }

    @Override
    public String toString() {
      return name().toLowerCase(Locale.ROOT);
    }
  }

  /** Checks the range and the weight. */
  public FeatureBlock {
    boolean range =
        switch (kind) {
          case STYLE, READABILITY, DISCOURSE, CURVES -> low == 0 && high == 0;
          case STATES -> low >= 0 && low <= WIDEST_STATE && high == low;
          case WORDS, CHARACTERS -> low >= 1 && high >= low && high <= LONGEST_GRAM;
          case CROSSINGS -> low >= 1 && low <= MOST_PROMPT_WORDS && high == low;
        };
    if (!range || !(weight > 0 && Double.isFinite(weight))) {
      throw new IllegalArgumentException(
          "no features: %s:%d-%d*%s".formatted(kind, low, high, weight));
    }
  }

  /**
   * Reads a list such as {@value #DEFAULT}.
   *
   * @throws JobFailure usage, if a block is unknown, out of range, or named twice
   */
  public static List<FeatureBlock> parse(String list) {
    List<FeatureBlock> blocks = Arrays.stream(list.split(",", -1)).map(FeatureBlock::one).toList();
    if (blocks.stream().map(FeatureBlock::kind).distinct().count() < blocks.size()) {
      throw JobFailure.usage("Cannot use features '" + list + "': one sort stands there twice");
    }
    return blocks;
  }

  private static FeatureBlock one(String text) {
    Matcher parts = TEXT.matcher(text.strip());
    if (parts.matches()) {
      for (Kind kind : Kind.values()) {
        if (kind.toString().equals(parts.group(1))) {
          return of(kind, parts, text);
        }
      }
    }
    throw JobFailure.usage(
        "Cannot use features '%s': none of %s, such as words:1-2*0.5"
            .formatted(text, Arrays.toString(Kind.values())));
  }

  private static FeatureBlock of(Kind kind, Matcher parts, String text) {
    int low = parts.group(2) == null ? kind.low : Integer.parseInt(parts.group(2));
    int high = parts.group(2) == null ? kind.high : low;
    if (parts.group(3) != null) {
      high = Integer.parseInt(parts.group(3));
    }
    double weight = parts.group(4) == null ? 1 : Double.parseDouble(parts.group(4));
    try {
      return new FeatureBlock(kind, low, high, weight);
    } catch (IllegalArgumentException e) {
      throw JobFailure.usage("Cannot use features '" + text + "': out of range");
    }
  }

  /** Names of its numbers; none if it has no numbers of its own. */
  List<String> names() {
    return kind == Kind.STATES
        ? IntStream.range(0, low).mapToObj(i -> "state_" + i).toList()
        : kind.names;
  }

  /**
   * The block itself, or states of so many numbers.
   *
   * @throws JobFailure usage, if the block says another number of states
   */
  FeatureBlock withStateSize(int size) {
    if (kind != Kind.STATES) {
      return this;
    }
    if (low != 0 && low != size) {
      throw JobFailure.usage(
          "Cannot use features '%s': the states of the model have %d numbers"
              .formatted(this, size));
    }
    return new FeatureBlock(kind, size, size, weight);
  }

  /** The text that {@link #parse} reads. */
  @Override
  public String toString() {
    String range = low > 0 ? ":" + low + (kind.hasGrams() ? "-" + high : "") : "";
    return kind + range + (weight == 1 ? "" : "*" + weight);
  }
}
