package io.github.sparkrlhf.report;

import java.util.Locale;
import org.apache.spark.sql.Row;

/** Numbers as people read them. */
final class Numbers {
  private static final int SMALL_EXPONENT = -4;

  private Numbers() {}

  /** A count, such as {@code 19,400}. */
  static String count(long count) {
    return String.format(Locale.ROOT, "%,d", count);
  }

  /** A share of 1 in per cent, such as {@code 3.0 %}. */
  static String percent(double share) {
    return String.format(Locale.ROOT, "%.1f %%", 100 * share);
  }

  /** A measurement with about three digits that count; a dash if there is none. */
  static String value(Double value) {
    if (value == null || value.isNaN()) {
      return "–";
    }
    double size = Math.abs(value);
    if (size == 0 || Double.isInfinite(value)) {
      return value == 0 ? "0" : value.toString();
    }
    if (size >= 1000) {
      return String.format(Locale.ROOT, "%,.0f", value);
    }
    if (size < Math.pow(10, SMALL_EXPONENT)) {
      return String.format(Locale.ROOT, "%.1e", value);
    }
    int decimals = Math.min(5, Math.max(0, 2 - (int) Math.floor(Math.log10(size))));
    return String.format(Locale.ROOT, "%." + Math.min(decimals, size >= 0.1 ? 3 : 5) + "f", value);
  }

  /** The columns low and high of a row; a dash if it has none. */
  static String range(Row row) {
    Double low = row.getAs("low");
    Double high = row.getAs("high");
    return low == null || high == null ? "–" : value(low) + " to " + value(high);
  }

  /** A measurement and its interval. */
  static String interval(Double value, Double low, Double high) {
    return low == null || high == null
        ? value(value)
        : "%s (%s to %s)".formatted(value(value), value(low), value(high));
  }
}
