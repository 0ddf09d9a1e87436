package io.github.sparkrlhf.feedback;

import static org.apache.spark.sql.functions.udf;

import org.apache.spark.sql.Column;
import org.apache.spark.sql.api.java.UDF1;
import org.apache.spark.sql.types.DataTypes;

/**
 * Counts the marks of markdown in a text as these patterns would find them one after the other:
 *
 * <ul>
 *   <li>list items: {@value #LIST_ITEM}
 *   <li>other marks: {@value #OTHER_MARK}
 * </ul>
 */
final class Markdown {
  static final String LIST_ITEM = "(?m)^[ \\t]*(?:[-*•]|\\d{1,3}[.)])\\s";
  static final String OTHER_MARK = "(?m)\\*\\*|__|`+|\\]\\(|^[ \\t]*#{1,6}\\s";

  private static final int MOST_DIGITS = 3;
  private static final int MOST_SHARPS = 6;

  private Markdown() {}

  /** The number of list items of each text; null for null. */
  static Column listItems(Column text) {
    UDF1<String, Integer> count = t -> t == null ? null : listItems(t);
    return udf(count, DataTypes.IntegerType).apply(text);
  }

  /** The number of headings, bold marks, runs of code marks and links of each text. */
  static Column otherMarks(Column text) {
    UDF1<String, Integer> count = t -> t == null ? null : otherMarks(t);
    return udf(count, DataTypes.IntegerType).apply(text);
  }

  static int listItems(String text) {
    int items = 0;
    for (int line = 0; line < text.length(); line = nextLine(text, line)) {
      items += isListItem(text, afterBlanks(text, line)) ? 1 : 0;
    }
    return items;
  }

  static int otherMarks(String text) {
    int marks = 0;
    int end = text.length();
    boolean lineStart = true;
    for (int i = 0; i < end; ) {
      int heading = lineStart ? headingEnd(text, afterBlanks(text, i)) : -1;
      int next = heading >= 0 ? heading : markEnd(text, i);
      marks += next >= 0 ? 1 : 0;
      i = next >= 0 ? next : i + 1;
      lineStart = endsLine(text, i - 1);
    }
    return marks;
  }

  /** Where the mark that begins here ends; −1 if none does. */
  private static int markEnd(String text, int i) {
    char unit = text.charAt(i);
    char next = i + 1 < text.length() ? text.charAt(i + 1) : 0;
    boolean pair =
        (unit == '*' && next == '*')
            || (unit == '_' && next == '_')
            || (unit == ']' && next == '(');
    if (pair) {
      return i + 2;
    }
    return unit == '`' ? run(text, i, '`', text.length()) : -1;
  }

  private static int headingEnd(String text, int i) {
    int end = run(text, i, '#', MOST_SHARPS);
    return end > i && end < text.length() && isSpace(text.charAt(end)) ? end + 1 : -1;
  }

  private static boolean isListItem(String text, int i) {
    if (i >= text.length()) {
      return false;
    }
    char unit = text.charAt(i);
    if (unit == '-' || unit == '*' || unit == '•') {
      return i + 1 < text.length() && isSpace(text.charAt(i + 1));
    }
    int end = i;
    while (end < text.length() && end - i < MOST_DIGITS && isDigit(text.charAt(end))) {
      end++;
    }
    return end > i
        && end + 1 < text.length()
        && (text.charAt(end) == '.' || text.charAt(end) == ')')
        && isSpace(text.charAt(end + 1));
  }

  private static int run(String text, int from, char unit, int most) {
    int end = from;
    while (end < text.length() && end - from < most && text.charAt(end) == unit) {
      end++;
    }
    return end;
  }

  private static int afterBlanks(String text, int from) {
    int i = from;
    while (i < text.length() && (text.charAt(i) == ' ' || text.charAt(i) == '\t')) {
      i++;
    }
    return i;
  }

  private static int nextLine(String text, int from) {
    int i = from;
    while (i < text.length() && !endsLine(text, i)) {
      i++;
    }
    return i + 1;
  }

  /** Whether a line ends with this unit, as {@link java.util.regex.Pattern#MULTILINE} sees it. */
  private static boolean endsLine(String text, int i) {
    char unit = text.charAt(i);
    if (unit == '\r') {
      return i + 1 == text.length() || text.charAt(i + 1) != '\n';
    }
    return unit == '\n' || unit == '\u0085' || unit == '\u2028' || unit == '\u2029';
  }

  private static boolean isDigit(char unit) {
    return unit >= '0' && unit <= '9';
  }

  /** The white space of regular expressions. */
  private static boolean isSpace(char unit) {
    return unit == ' ' || (unit >= '\t' && unit <= '\r');
  }
}
