package io.github.sparkrlhf.report;

import java.util.Locale;

/**
 * Shares as marks on a line from 0 to 1, in the cell of a table whose other cells say the number.
 */
final class Intervals {
  private Intervals() {}

  /** A share with its interval; null ends draw no interval. */
  static Html of(double value, Double low, Double high) {
    Html.Tag line = Html.tag("span").with("class", "interval").with("aria-hidden", "true");
    Html dot =
        Html.tag("span").with("class", "dot").with("style", "left:" + percent(value)).holding();
    if (low == null || high == null) {
      return line.holding(dot);
    }
    Html range =
        Html.tag("span")
            .with("class", "range")
            .with("style", "left:" + percent(low) + ";width:" + percent(high - low))
            .holding();
    return line.holding(range, dot);
  }

  /** A share as a bar. */
  static Html bar(double share) {
    return Html.tag("span")
        .with("class", "interval")
        .with("aria-hidden", "true")
        .holding(
            Html.tag("span")
                .with("class", "bar")
                .with("style", "width:" + percent(share))
                .holding());
  }

  private static String percent(double share) {
    return String.format(Locale.ROOT, "%.2f%%", 100 * Math.max(0, Math.min(1, share)));
  }
}
