package io.github.sparkrlhf.jobs;

import java.util.ArrayList;
import java.util.List;

/** Rows of text as an aligned table for a terminal. */
final class TextTable {
  private static final int MAX_WIDTH = 60;

  private TextTable() {}

  /**
   * The lines of a table: a header, a rule, and a line per row. Long cells are cut.
   *
   * @param rightAligned per column, whether it holds numbers
   */
  static List<String> lines(
      List<String> header, List<List<String>> rows, List<Boolean> rightAligned) {
    int[] widths = new int[header.size()];
    List<List<String>> cells = new ArrayList<>();
    cells.add(header);
    rows.forEach(row -> cells.add(row.stream().map(TextTable::cell).toList()));
    for (List<String> row : cells) {
      for (int i = 0; i < widths.length; i++) {
        widths[i] = Math.max(widths[i], row.get(i).length());
      }
    }
    List<String> lines = new ArrayList<>();
    for (List<String> row : cells) {
      StringBuilder line = new StringBuilder();
      for (int i = 0; i < widths.length; i++) {
        String padding = " ".repeat(widths[i] - row.get(i).length());
        line.append(i == 0 ? "" : "  ");
        line.append(rightAligned.get(i) ? padding + row.get(i) : row.get(i) + padding);
      }
      lines.add(line.toString().stripTrailing());
      if (lines.size() == 1) {
        StringBuilder rule = new StringBuilder();
        for (int width : widths) {
          rule.append(rule.isEmpty() ? "" : "  ").append("-".repeat(width));
        }
        lines.add(rule.toString());
      }
    }
    return lines;
  }

  private static String cell(String text) {
    if (text == null) {
      return "NULL";
    }
    String line = text.replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t");
    return line.length() <= MAX_WIDTH ? line : line.substring(0, MAX_WIDTH - 1) + "…";
  }
}
