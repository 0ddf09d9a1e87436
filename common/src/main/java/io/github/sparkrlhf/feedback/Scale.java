package io.github.sparkrlhf.feedback;

import io.github.sparkrlhf.spark.JobFailure;
import java.io.Serializable;

/**
 * The least and the greatest value of a rating or of a numeric choice.
 *
 * @param low the worst rating; of a choice, that the first response is much better
 * @param high the best rating; of a choice, that the second response is much better
 */
public record Scale(double low, double high) implements Serializable {
  /** Accepted is 1 and rejected is 0; the best of a ranking is 1 and the last is 0. */
  static final Scale UNIT = new Scale(0, 1);

  /** Checks the ends. */
  public Scale {
    if (!(low < high) || Double.isInfinite(low) || Double.isInfinite(high)) {
      throw JobFailure.usage(
          "Cannot use --scale %s,%s: it must be LOW,HIGH with LOW less than HIGH"
              .formatted(low, high));
    }
  }

  /**
   * Reads a scale such as {@code 1,5}.
   *
   * @throws JobFailure usage, if it is none
   */
  public static Scale parse(String scale) {
    String[] ends = scale.split(",", -1);
    try {
      if (ends.length == 2) {
        return new Scale(Double.parseDouble(ends[0]), Double.parseDouble(ends[1]));
      }
    } catch (NumberFormatException e) {
      throw invalid(scale);
    }
    throw invalid(scale);
  }

  double range() {
    return high - low;
  }

  double middle() {
    return (low + high) / 2;
  }

  private static JobFailure invalid(String scale) {
    return JobFailure.usage(
        "Cannot use --scale " + scale + ": it must be two numbers LOW,HIGH as in 1,5");
  }
}
