package io.github.sparkrlhf.jobs;

import io.github.sparkrlhf.spark.JobFailure;
import java.util.Collection;
import java.util.TreeSet;
import picocli.CommandLine.ParseResult;

/**
 * The options that stand on the command line, and the two ways in which one of them is a usage
 * error: its value is out of range, or it says nothing about what the command does.
 */
final class Given {
  private final ParseResult parsed;

  Given(ParseResult parsed) {
    this.parsed = parsed;
  }

  /** Whether an option, named without dashes, stands on the command line. */
  boolean has(String name) {
    return parsed.hasMatchedOption("--" + name);
  }

  /**
   * Refuses options that would be ignored.
   *
   * @param names without dashes
   * @param why they do not apply
   * @throws JobFailure naming the first of them, by name, that is given
   */
  void refuse(Collection<String> names, String why) {
    for (String name : new TreeSet<>(names)) {
      if (has(name)) {
        throw JobFailure.usage("Cannot use --" + name + ": " + why);
      }
    }
  }

  /**
   * Checks the value of an option, given or default.
   *
   * @param name without dashes
   * @param must what it must be, such as {@code at least 1}
   * @throws JobFailure if it does not hold
   */
  static void require(boolean holds, String name, Object value, String must) {
    if (!holds) {
      throw JobFailure.usage("Cannot use --" + name + " " + value + ": it must be " + must);
    }
  }

  /** Checks that a count is at least 1. */
  static void requireCount(String name, int value) {
    require(value >= 1, name, value, "at least 1");
  }

  /** Checks that a rate or norm is positive and finite; NaN is neither. */
  static void requirePositive(String name, double value) {
    require(value > 0 && Double.isFinite(value), name, value, "a number greater than 0");
  }

  /** Checks that a coefficient is finite and not negative. */
  static void requireNotNegative(String name, double value) {
    require(value >= 0 && Double.isFinite(value), name, value, "a number not less than 0");
  }

  /** Checks that a share is in [0, 1]. */
  static void requireShare(String name, double value) {
    require(value >= 0 && value <= 1, name, value, "between 0 and 1");
  }

  /** Checks that a number of lanes is a power of two. */
  static void requireLanes(int lanes) {
    require(lanes >= 1 && Integer.bitCount(lanes) == 1, "lanes", lanes, "a power of two");
  }
}
