package io.github.sparkrlhf.feedback;

import static org.apache.spark.sql.functions.udf;
import static org.apache.spark.sql.functions.when;

import java.text.Normalizer;
import java.util.Locale;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.api.java.UDF1;
import org.apache.spark.sql.types.DataTypes;

/**
 * When two texts are the same. Only comparisons use the results; what is stored and trained on is
 * the text as it was written.
 */
public final class NormalizedText {

  private static final byte[] ASCII = asciiWords();

  private NormalizedText() {}

  /**
   * The text as a reader sees it: composed (Unicode NFC), without white space around it. Texts with
   * the same identity are one text.
   */
  public static String identity(String text) {
    return stripped(Normalizer.normalize(text, Normalizer.Form.NFC));
  }

  /** {@link #identity(String)} of a column of texts; null for null. */
  public static Column identity(Column text) {
    return identity(text, TextForm.of(text, Integer.MAX_VALUE));
  }

  /**
   * {@link #identity(String)} of a column of texts whose form is known.
   *
   * @param form as {@link TextForm#of} gives it
   */
  static Column identity(Column text, Column form) {
    UDF1<String, String> identity = t -> t == null ? null : identity(t);
    // Most texts are plain, and handing them to the JVM as strings costs more than looking at them.
    return when(form.equalTo(TextForm.PLAIN), text)
        .otherwise(udf(identity, DataTypes.StringType).apply(text));
  }

  /**
   * The text without what does not change a question: compatibility forms (Unicode NFKC), case,
   * punctuation, invisible characters, and white space. A text of nothing else is its {@link
   * #identity(String)}.
   */
  public static String loose(String text) {
    byte[] words = new byte[text.length()];
    int size = looseAscii(text, words);
    if (size > 0) {
      return new String(words, 0, 0, size);
    }
    return looseUnicode(text);
  }

  /**
   * The loose form of a text of ASCII only, as the general rules make it: how many bytes of {@code
   * words} it takes; 0 if there is a character beyond ASCII, or nothing is left.
   */
  private static int looseAscii(String text, byte[] words) {
    int size = 0;
    boolean gap = false;
    for (int i = 0; i < text.length(); i++) {
      char unit = text.charAt(i);
      if (unit >= ASCII.length) {
        return 0;
      }
      byte folded = ASCII[unit];
      if (folded == 0) {
        gap = true;
      } else {
        if (gap && size > 0) {
          words[size++] = ' ';
        }
        words[size++] = folded;
        gap = false;
      }
    }
    return size;
  }

  /** What becomes of each character of ASCII; 0 for what separates words. */
  private static byte[] asciiWords() {
    byte[] words = new byte[128];
    for (int unit = 0; unit < words.length; unit++) {
      words[unit] = isWordPart(unit) ? (byte) Character.toLowerCase(unit) : 0;
    }
    return words;
  }

  /** The general rules. */
  static String looseUnicode(String text) {
    String folded =
        Normalizer.normalize(text, Normalizer.Form.NFKC)
            .toUpperCase(Locale.ROOT)
            .toLowerCase(Locale.ROOT);
    StringBuilder words = new StringBuilder(folded.length());
    boolean gap = false;
    for (int i = 0; i < folded.length(); ) {
      int point = folded.codePointAt(i);
      i += Character.charCount(point);
      if (isWordPart(point)) {
        if (gap && words.length() > 0) {
          words.append(' ');
        }
        words.appendCodePoint(point);
        gap = false;
      } else if (Character.getType(point) != Character.FORMAT) {
        gap = true;
      }
    }
    return words.length() == 0 ? identity(text) : words.toString();
  }

  /** {@link #loose(String)} of a column of texts; null for null. */
  public static Column loose(Column text) {
    UDF1<String, String> loose = t -> t == null ? null : loose(t);
    return udf(loose, DataTypes.StringType).apply(text);
  }

  /** Whether the bytes of a text are UTF-8; null counts as valid. */
  public static Column isValid(Column text) {
    return TextForm.of(text, Integer.MAX_VALUE).notEqual(TextForm.INVALID);
  }

  private static String stripped(String text) {
    int start = 0;
    int end = text.length();
    while (start < end && isSpace(text.charAt(start))) {
      start++;
    }
    while (end > start && isSpace(text.charAt(end - 1))) {
      end--;
    }
    return text.substring(start, end);
  }

  private static boolean isSpace(char unit) {
    return Character.isWhitespace(unit) || Character.isSpaceChar(unit);
  }

  private static boolean isWordPart(int point) {
    return switch (Character.getType(point)) {
      case Character.NON_SPACING_MARK,
          Character.COMBINING_SPACING_MARK,
          Character.ENCLOSING_MARK,
          Character.MATH_SYMBOL,
          Character.CURRENCY_SYMBOL,
          Character.OTHER_SYMBOL ->
          true;
      default -> Character.isLetterOrDigit(point);
    };
  }
}
