package io.github.sparkrlhf.lm;

import com.hubspot.jinjava.util.HasObjectTruthValue;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Iterator;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.IntPredicate;

/** What Python's {@code str} and {@code json.dumps} do, where Java does something else. */
final class PythonText {
  /** What {@code None} is in a template. */
  static final Object NONE = new Falsy("None");

  /** What a key or an element is that is not there; a variable that is not there is null. */
  static final Object UNDEFINED = new Falsy(null);

  private PythonText() {}

  private record Falsy(String text) implements HasObjectTruthValue {
    @Override
    public boolean getObjectTruthValue() {
      return false;
    }

    @Override
    public String toString() {
      if (text == null) {
        throw new IllegalArgumentException("text made of an undefined value is not supported");
      }
      return text;
    }
  }

  static boolean isUndefined(Object value) {
    return value == null || value == UNDEFINED;
  }

  /** {@code str.isspace} of one character. */
  static boolean isSpace(int c) {
    return Character.isWhitespace(c) || Character.isSpaceChar(c) || c == 0x85;
  }

  /** {@code text.strip(characters)}; null strips white space. */
  static String strip(String text, String characters) {
    return rightStrip(leftStrip(text, characters), characters);
  }

  static String leftStrip(String text, String characters) {
    IntPredicate drop = dropped(characters);
    int start = 0;
    while (start < text.length() && drop.test(text.charAt(start))) {
      start++;
    }
    return text.substring(start);
  }

  static String rightStrip(String text, String characters) {
    IntPredicate drop = dropped(characters);
    int end = text.length();
    while (end > 0 && drop.test(text.charAt(end - 1))) {
      end--;
    }
    return text.substring(0, end);
  }

  private static IntPredicate dropped(String characters) {
    return characters == null ? PythonText::isSpace : c -> characters.indexOf(c) >= 0;
  }

  /** {@code text.split(separator, limit)}; null separates at white space, -1 knows no limit. */
  static List<Object> split(String text, String separator, int limit) {
    if (separator == null) {
      String stripped = strip(text, null);
      return stripped.isEmpty()
          ? List.of()
          : new ArrayList<>(Arrays.asList(stripped.split("(?U)\\s+", limit < 0 ? -1 : limit + 1)));
    }
    if (separator.isEmpty()) {
      throw new IllegalArgumentException("empty separator");
    }
    List<Object> parts = new ArrayList<>();
    int start = 0;
    int next = text.indexOf(separator);
    while (next >= 0 && (limit < 0 || parts.size() < limit)) {
      parts.add(text.substring(start, next));
      start = next + separator.length();
      next = text.indexOf(separator, start);
    }
    parts.add(text.substring(start));
    return parts;
  }

  /**
   * {@code str(value)}; undefined is empty.
   *
   * @throws IllegalArgumentException for what templates have no reason to print
   */
  static String string(Object value) {
    if (isUndefined(value)) {
      return "";
    }
    if (value instanceof Boolean truth) {
      return truth ? "True" : "False";
    }
    if (value == NONE || value instanceof CharSequence || isInteger(value)) {
      return value.toString();
    }
    throw new IllegalArgumentException("printing " + kind(value) + " is not supported");
  }

  private static boolean isInteger(Object value) {
    return value instanceof Long || value instanceof Integer;
  }

  private static String kind(Object value) {
    if (value instanceof Map) {
      return "a mapping";
    }
    return value instanceof List ? "a list" : "a " + value.getClass().getSimpleName();
  }

  /**
   * {@code json.dumps(value, ensure_ascii=False, indent=indent)}.
   *
   * @param indent blanks per level, negative for one line
   */
  static String json(Object value, int indent) {
    StringBuilder text = new StringBuilder();
    json(value, indent, 0, text);
    return text.toString();
  }

  private static void json(Object value, int indent, int level, StringBuilder text) {
    if (value == NONE) {
      text.append("null");
    } else if (value instanceof Boolean || isInteger(value)) {
      text.append(value);
    } else if (value instanceof CharSequence characters) {
      quote(characters, text);
    } else if (value instanceof Map<?, ?> map) {
      Iterator<? extends Map.Entry<?, ?>> entries = map.entrySet().iterator();
      text.append('{');
      while (entries.hasNext()) {
        Map.Entry<?, ?> entry = entries.next();
        lineBreak(indent, level + 1, text);
        quote(String.valueOf(entry.getKey()), text);
        text.append(": ");
        json(entry.getValue(), indent, level + 1, text);
        separate(entries.hasNext(), indent, level, text);
      }
      text.append('}');
    } else if (value instanceof List<?> list) {
      Iterator<?> elements = list.iterator();
      text.append('[');
      while (elements.hasNext()) {
        lineBreak(indent, level + 1, text);
        json(elements.next(), indent, level + 1, text);
        separate(elements.hasNext(), indent, level, text);
      }
      text.append(']');
    } else {
      throw new IllegalArgumentException(
          isUndefined(value) ? "tojson of an undefined value" : "tojson of " + kind(value));
    }
  }

  private static void lineBreak(int indent, int level, StringBuilder text) {
    if (indent >= 0) {
      text.append('\n').append(" ".repeat(indent * level));
    }
  }

  private static void separate(boolean more, int indent, int level, StringBuilder text) {
    if (more) {
      text.append(indent >= 0 ? "," : ", ");
    } else {
      lineBreak(indent, level, text);
    }
  }

  private static void quote(CharSequence characters, StringBuilder text) {
    text.append('"');
    characters
        .chars()
        .forEach(
            c -> {
              switch (c) {
                case '"' -> text.append("\\\"");
                case '\\' -> text.append("\\\\");
                case '\n' -> text.append("\\n");
                case '\r' -> text.append("\\r");
                case '\t' -> text.append("\\t");
                case '\b' -> text.append("\\b");
                case '\f' -> text.append("\\f");
                default -> {
                  if (c < ' ') {
                    text.append(String.format(Locale.ROOT, "\\u%04x", c));
                  } else {
                    text.append((char) c);
                  }
                }
              }
            });
    text.append('"');
  }
}
