package io.github.sparkrlhf.feedback;

import io.github.sparkrlhf.spark.JobFailure;
import java.util.EnumMap;
import java.util.Map;
import java.util.Optional;

/**
 * How a log of feedback is to be read.
 *
 * @param layout what a row is and where its parts are
 * @param expressions Spark SQL by part, in place of what the layout says
 * @param scale the scale of ratings or of a numeric choice; null for that of the layout
 * @param template how conversations become text
 * @param maxTextCharacters the longest usable prompt or response, in Unicode characters
 */
public record LogFormat(
    Layout layout,
    Map<LogPart, String> expressions,
    Scale scale,
    PromptTemplate template,
    int maxTextCharacters) {
  /** The default of {@code maxTextCharacters}. */
  public static final int MAX_TEXT_CHARACTERS = 100_000;

  /**
   * Checks that the options fit the layout.
   *
   * @throws JobFailure usage, naming the option
   */
  public LogFormat {
    expressions = Map.copyOf(expressions);
    for (LogPart part : expressions.keySet()) {
      if (!layout.has(part)) {
        throw JobFailure.usage(
            "Cannot use " + part.option() + ": it is no part of the layout " + layout.label());
      }
    }
    boolean scaled = layout.has(LogPart.RATING) || layout.has(LogPart.CHOICE);
    if (scale != null && !scaled && !layout.scale().equals(Optional.of(scale))) {
      throw JobFailure.usage(
          "Cannot use --scale: the layout " + layout.label() + " has no ratings on a scale");
    }
    if (scale == null) {
      scale = layout.scale().orElse(null);
    }
    if (scale == null && layout.has(LogPart.RATING)) {
      throw JobFailure.usage(
          "Cannot read ratings without --scale LOW,HIGH: the least and the greatest rating there"
              + " can be, as in 1,5");
    }
  }

  /** A layout as it is, with all other options at their defaults. */
  public static LogFormat of(Layout layout) {
    return of(layout, null);
  }

  /** A layout with the scale of its ratings, with all other options at their defaults. */
  public static LogFormat of(Layout layout, Scale scale) {
    return new LogFormat(layout, Map.of(), scale, PromptTemplate.PLAIN, MAX_TEXT_CHARACTERS);
  }

  /** The same with another expression for a part. */
  public LogFormat with(LogPart part, String sql) {
    Map<LogPart, String> all = new EnumMap<>(LogPart.class);
    all.putAll(expressions);
    all.put(part, sql);
    return new LogFormat(layout, all, scale, template, maxTextCharacters);
  }

  /** The same with another template. */
  public LogFormat with(PromptTemplate other) {
    return new LogFormat(layout, expressions, scale, other, maxTextCharacters);
  }

  /** Whether another scale is given than the layout has by definition. */
  boolean hasOwnScale() {
    return scale != null && !layout.scale().equals(Optional.of(scale));
  }

  /** The expression that is given for a part. */
  Optional<String> given(LogPart part) {
    return Optional.ofNullable(expressions.get(part));
  }
}
