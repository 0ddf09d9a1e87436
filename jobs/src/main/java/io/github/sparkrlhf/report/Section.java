package io.github.sparkrlhf.report;

import java.util.List;

/**
 * A part of a report with a heading.
 *
 * @param anchor its id in the page
 * @param title its heading
 * @param figures what of it stands at the head of the page
 * @param body what follows the heading
 */
record Section(String anchor, String title, List<Figure> figures, Html body) {
  /**
   * A number worth a look.
   *
   * @param value as it is shown
   * @param label what it is
   * @param note an interval or what it is to be held against; may be empty
   */
  record Figure(String value, String label, String note) {}

  Html html() {
    return Html.tag("section")
        .with("id", anchor)
        .with("aria-labelledby", anchor + "-title")
        .holding(Html.tag("h2").with("id", anchor + "-title").holding(title), body);
  }
}
