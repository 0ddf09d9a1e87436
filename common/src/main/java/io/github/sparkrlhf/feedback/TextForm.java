package io.github.sparkrlhf.feedback;

import static org.apache.spark.sql.functions.udf;

import java.nio.charset.StandardCharsets;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.api.java.UDF1;
import org.apache.spark.sql.types.DataTypes;

/** What keeps a text from being used, in one look at its bytes. */
final class TextForm {
  static final int USABLE = 0;

  /** Null, empty, or nothing but white space of any script. */
  static final int BLANK = 1;

  /** Not UTF-8. */
  static final int INVALID = 2;

  /** More Unicode characters than allowed. */
  static final int OVERLONG = 3;

  private TextForm() {}

  /** One of the constants for each text. */
  static Column of(Column text, int maxCharacters) {
    UDF1<byte[], Integer> form = bytes -> form(bytes, maxCharacters);
    return udf(form, DataTypes.IntegerType).apply(text.cast("binary"));
  }

  private static int form(byte[] text, int maxCharacters) {
    if (text == null) {
      return BLANK;
    }
    int bits = 0;
    for (byte unit : text) {
      bits |= unit;
    }
    if (bits < 0 && !NormalizedText.isUtf8(text)) {
      return INVALID;
    }
    if (isBlank(text)) {
      return BLANK;
    }
    return text.length > maxCharacters && characters(text) > maxCharacters ? OVERLONG : USABLE;
  }

  private static boolean isBlank(byte[] text) {
    for (byte unit : text) {
      if (unit < 0) {
        return new String(text, StandardCharsets.UTF_8)
            .codePoints()
            .allMatch(c -> Character.isWhitespace(c) || Character.isSpaceChar(c));
      }
      if (!Character.isWhitespace(unit)) {
        return false;
      }
    }
    return true;
  }

  /** Every byte but those that continue a character. */
  private static int characters(byte[] text) {
    int characters = 0;
    for (byte unit : text) {
      characters += (unit & 0xC0) == 0x80 ? 0 : 1;
    }
    return characters;
  }
}
