package io.github.sparkrlhf.feedback;

import static org.apache.spark.sql.functions.udf;

import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.api.java.UDF1;
import org.apache.spark.sql.types.DataTypes;

/** What a text is like, in one look at its bytes: among others what keeps it from being used. */
final class TextForm {
  /** Usable, nothing but ASCII, and without white space at its ends: it is its own identity. */
  static final int PLAIN = 0;

  /** Null, empty, or nothing but white space of any script. */
  static final int BLANK = 1;

  /** Not UTF-8. */
  static final int INVALID = 2;

  /** More Unicode characters than allowed. */
  static final int OVERLONG = 3;

  /** Usable, but not plain. */
  static final int OTHER = 4;

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
    if (bits < 0 && !isUtf8(text)) {
      return INVALID;
    }
    if (isBlank(text)) {
      return BLANK;
    }
    if (text.length > maxCharacters && characters(text) > maxCharacters) {
      return OVERLONG;
    }
    return bits >= 0 && text[0] > ' ' && text[text.length - 1] > ' ' ? PLAIN : OTHER;
  }

  private static boolean isUtf8(byte[] text) {
    try {
      StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(text));
      return true;
    } catch (CharacterCodingException e) {
      return false;
    }
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
