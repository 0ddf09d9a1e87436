package io.github.sparkrlhf.report;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * A piece of a page. Prompts and responses are untrusted: every text and every attribute's value is
 * escaped here, and there is no other way for them into a page.
 */
final class Html {
  private final String markup;

  private Html(String markup) {
    this.markup = markup;
  }

  /** A text, shown as it is; characters that no page may contain are replaced by U+FFFD. */
  static Html text(String text) {
    return new Html(escaped(text));
  }

  /** Several pieces, one after the other. */
  static Html all(List<Html> pieces) {
    StringBuilder markup = new StringBuilder();
    pieces.forEach(piece -> markup.append(piece.markup));
    return new Html(markup.toString());
  }

  static Html all(Html... pieces) {
    return all(List.of(pieces));
  }

  /** Markup that this program made, such as a drawing or a style sheet. Never a user's text. */
  static Html trusted(String markup) {
    return new Html(markup);
  }

  /** An element that holds a text. */
  static Html of(String tag, String text) {
    return tag(tag).holding(text(text));
  }

  /** An element that holds other pieces. */
  static Html of(String tag, Html... pieces) {
    return tag(tag).holding(pieces);
  }

  /** An element that still lacks attributes and content. */
  static Tag tag(String name) {
    return new Tag(name, Map.of());
  }

  /** The opening of an element. */
  record Tag(String name, Map<String, String> attributes) {
    /** With one attribute more. */
    Tag with(String attribute, String value) {
      Map<String, String> more = new LinkedHashMap<>(attributes);
      more.put(attribute, value);
      return new Tag(name, more);
    }

    Html holding(List<Html> pieces) {
      StringBuilder markup = new StringBuilder("<" + name);
      attributes.forEach(
          (attribute, value) ->
              markup
                  .append(' ')
                  .append(attribute)
                  .append("=\"")
                  .append(escaped(value))
                  .append('"'));
      if (name.equals("meta")) {
        // Closed, so that the page is XML as well.
        return new Html(markup.append("/>").toString());
      }
      markup.append('>');
      pieces.forEach(piece -> markup.append(piece.markup));
      return new Html(markup.append("</").append(name).append('>').toString());
    }

    Html holding(Html... pieces) {
      return holding(List.of(pieces));
    }

    Html holding(String text) {
      return holding(text(text));
    }
  }

  /**
   * A table that scrolls within the page where it is wider.
   *
   * @param header the names of the columns; empty over drawings, whose numbers stand beside them
   * @param numeric how many of the columns, from the right, hold numbers
   * @param rows with a cell for each column; the first names the row
   */
  static Html table(String caption, List<String> header, int numeric, List<List<Html>> rows) {
    List<Html> head = new ArrayList<>();
    for (int i = 0; i < header.size(); i++) {
      // A name that is empty is none to a screen reader.
      head.add(
          header.get(i).isEmpty()
              ? of("td", "")
              : cell("th", i >= header.size() - numeric)
                  .with("scope", "col")
                  .holding(header.get(i)));
    }
    List<Html> body = new ArrayList<>();
    for (List<Html> row : rows) {
      List<Html> cells = new ArrayList<>();
      for (int i = 0; i < row.size(); i++) {
        Tag cell =
            i == 0 ? tag("th").with("scope", "row") : cell("td", i >= header.size() - numeric);
        cells.add(cell.holding(row.get(i)));
      }
      body.add(tag("tr").holding(cells));
    }
    Html table =
        of(
            "table",
            of("caption", caption),
            of("thead", tag("tr").holding(head)),
            tag("tbody").holding(body));
    return tag("div")
        .with("class", "scroll")
        .with("tabindex", "0")
        .with("role", "region")
        .with("aria-label", caption)
        .holding(table);
  }

  private static Tag cell(String tag, boolean number) {
    return number ? tag(tag).with("class", "number") : tag(tag);
  }

  /** What opens when its summary is clicked. */
  static Html details(String summary, Html content) {
    return of("details", of("summary", summary), content);
  }

  String markup() {
    return markup;
  }

  private static String escaped(String text) {
    StringBuilder safe = new StringBuilder(text.length() + 16);
    for (int i = 0; i < text.length(); i++) {
      char c = text.charAt(i);
      switch (c) {
        case '&' -> safe.append("&amp;");
        case '<' -> safe.append("&lt;");
        case '>' -> safe.append("&gt;");
        case '"' -> safe.append("&quot;");
        case '\'' -> safe.append("&#39;");
        default -> safe.append(c < ' ' && c != '\n' && c != '\t' ? '\uFFFD' : c);
      }
    }
    return safe.toString();
  }
}
