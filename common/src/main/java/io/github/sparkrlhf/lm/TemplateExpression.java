package io.github.sparkrlhf.lm;

import io.github.sparkrlhf.spark.JobFailure;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * The tokens of one expression or statement of a Jinja template. jinjava passes over much that it
 * does not know and reads other things in its own way; so only what is known to mean the same in
 * both is let through, and literals become variables, which have no syntax.
 */
final class TemplateExpression {
  /** Begins the names of variables that stand for literals. */
  static final String LITERAL = "jinja_literal_";

  private static final Pattern TOKEN =
      Pattern.compile(
          "(?<space>\\s+)|(?<string>'(?:[^'\\\\]|\\\\.)*+'|\"(?:[^\"\\\\]|\\\\.)*+\")"
              + "|(?<number>\\d+(?:\\.\\d+)?)|(?<name>[A-Za-z_]\\w*)"
              + "|(?<operator>//|\\*\\*|[=!<>]=|[-+~%<>()\\[\\]{},:.|=*/])",
          Pattern.DOTALL);

  private static final Set<String> UNSUPPORTED_OPERATORS = Set.of("*", "**", "/", "//");
  private static final Set<String> FUNCTIONS = Set.of("namespace");
  private static final Set<String> OPENING = Set.of("(", "[", "{");
  private static final Set<String> CLOSING = Set.of(")", "]", "}");

  /** Words that stand before a value or an operator, so no name of a function. */
  private static final Set<String> WORDS =
      Set.of("and", "or", "not", "in", "is", "if", "else", "elif", "for", "set");

  private static final Map<String, Object> CONSTANTS =
      Map.of(
          "none", PythonText.NONE,
          "None", PythonText.NONE,
          "true", true,
          "True", true,
          "false", false,
          "False", false);

  /** Functions that are called as filters of nothing. */
  private static final Set<String> AS_FILTERS = Set.of("raise_exception", "range", "strftime_now");

  /** One token: its kind, its text, and whether white space stands before it. */
  record Token(String kind, String text, boolean spaced) {
    boolean is(String what) {
      return text.equals(what) && !kind.equals("string");
    }

    boolean isName() {
      return kind.equals("name");
    }
  }

  private final List<Token> tokens;
  private final Set<String> macros;
  private final Map<String, Object> literals;

  /**
   * @param tokens of {@link #scan}
   * @param macros the names of the template's macros
   * @param literals where literals are put, by name of their variable
   */
  TemplateExpression(List<Token> tokens, Set<String> macros, Map<String, Object> literals) {
    this.tokens = tokens;
    this.macros = macros;
    this.literals = literals;
  }

  /**
   * Cuts a text into tokens, up to an end that stands in no string and no braces.
   *
   * @param end what ends the expression
   * @param tokens filled by this
   * @return the position of the end
   * @throws JobFailure if the end is missing or a character is not of the language
   */
  static int scan(String source, int start, String end, List<Token> tokens) {
    Matcher matcher = TOKEN.matcher(source);
    Deque<String> open = new ArrayDeque<>();
    boolean spaced = false;
    int at = start;
    while (at < source.length()) {
      boolean ends = open.isEmpty() || end.equals("%}");
      if (ends && source.startsWith(end, at)) {
        return at;
      }
      boolean signed = at + 1 < source.length() && "-+".indexOf(source.charAt(at)) >= 0;
      if (ends && signed && source.startsWith(end, at + 1)) {
        return at;
      }
      if (!matcher.region(at, source.length()).lookingAt()) {
        throw refused("the character '" + source.charAt(at) + "' in " + excerpt(source, start));
      }
      String kind = kind(matcher);
      if (!kind.equals("space")) {
        Token token = new Token(kind, matcher.group(), spaced);
        track(token, open);
        tokens.add(token);
      }
      spaced = kind.equals("space");
      at = matcher.end();
    }
    throw refused("a tag without end: " + excerpt(source, start));
  }

  private static void track(Token token, Deque<String> open) {
    if (token.is("{")) {
      open.push("{");
    } else if (token.is("}") && !open.isEmpty()) {
      open.pop();
    }
  }

  private static String kind(Matcher matcher) {
    for (String kind : List.of("space", "string", "number", "name")) {
      if (matcher.group(kind) != null) {
        return kind;
      }
    }
    return "operator";
  }

  private static String excerpt(String source, int start) {
    return "'" + source.substring(start, Math.min(source.length(), start + 40)).strip() + "'";
  }

  static JobFailure refused(String construct) {
    return JobFailure.failure(construct + " is not supported");
  }

  /** The expression for jinjava. */
  String translated() {
    StringBuilder text = new StringBuilder();
    for (int i = 0; i < tokens.size(); i++) {
      Token token = tokens.get(i);
      text.append(token.spaced() ? " " : "");
      if (isReversal(i)) {
        text.append("|reverse");
        i += 5;
      } else if (token.kind().equals("string")) {
        StringBuilder value = new StringBuilder(unescaped(token.text()));
        while (at(i + 1).kind().equals("string")) {
          i++;
          value.append(unescaped(tokens.get(i).text()));
        }
        text.append(literal(value.toString()));
      } else if (token.isName()) {
        text.append(name(i));
      } else {
        text.append(operator(i));
      }
    }
    return text.toString();
  }

  private Token at(int index) {
    return index >= 0 && index < tokens.size() ? tokens.get(index) : new Token("", "", false);
  }

  private String literal(Object value) {
    String name = LITERAL + literals.size();
    literals.put(name, value);
    return name;
  }

  /** {@code [::-1]}. */
  private boolean isReversal(int i) {
    List<String> reversal = List.of("[", ":", ":", "-", "1", "]");
    for (int k = 0; k < reversal.size(); k++) {
      if (!at(i + k).is(reversal.get(k))) {
        return false;
      }
    }
    return true;
  }

  private String operator(int i) {
    String operator = tokens.get(i).text();
    if (UNSUPPORTED_OPERATORS.contains(operator)) {
      throw refused("the operator " + operator);
    }
    if (operator.equals(":") && colonsInBracket(i) > 1) {
      throw refused("a slice with a step");
    }
    if (operator.equals("|") && (at(i - 1).is("}") || at(i - 1).is("]") && closesList(i - 1))) {
      throw refused("a filter of a list or mapping that is written out");
    }
    boolean calls = at(i - 2).isName() && !WORDS.contains(at(i - 2).text());
    if (operator.equals("{") && at(i - 1).is("(") && !calls) {
      throw refused("a mapping in parentheses");
    }
    if (operator.equals("%") && at(i - 1).kind().equals("string")) {
      throw refused("formatting by %");
    }
    return operator;
  }

  /** Whether a bracket closes a list, and not an index or a slice. */
  private boolean closesList(int i) {
    int depth = 0;
    for (int k = i; k >= 0; k--) {
      depth += at(k).is("]") ? 1 : at(k).is("[") ? -1 : 0;
      if (depth == 0) {
        Token before = at(k - 1);
        boolean value = before.isName() && !WORDS.contains(before.text());
        return !value && !CLOSING.contains(before.text()) && !before.kind().equals("string");
      }
    }
    return false;
  }

  /** Colons from the bracket's beginning to here, if it is a bracket of a slice. */
  private int colonsInBracket(int i) {
    int depth = 0;
    int colons = 1;
    for (int k = i - 1; k >= 0; k--) {
      String text = at(k).kind().equals("operator") ? at(k).text() : "";
      depth += CLOSING.contains(text) ? 1 : OPENING.contains(text) ? -1 : 0;
      if (depth < 0) {
        return text.equals("[") ? colons : 0;
      }
      colons += depth == 0 && text.equals(":") ? 1 : 0;
    }
    return 0;
  }

  private String name(int i) {
    String name = tokens.get(i).text();
    if (name.startsWith(LITERAL) || name.startsWith("__")) {
      throw refused("the name " + name);
    }
    boolean called = at(i + 1).is("(") && !WORDS.contains(name);
    Token before = at(i - 1);
    if (before.is(".")) {
      return attribute(name, called, at(i - 2));
    }
    if (before.is("|")) {
      return known("filter", name, TemplateFilters.NAMES);
    }
    if (before.is("is") || before.is("not") && at(i - 2).is("is")) {
      return name.equals("not") ? name : test(name);
    }
    boolean keyword = at(i + 1).is("=");
    if (CONSTANTS.containsKey(name) && !keyword) {
      return literal(CONSTANTS.get(name));
    }
    if (called && AS_FILTERS.contains(name)) {
      return literal("") + "|" + name;
    }
    if (called && !macros.contains(name)) {
      return known("function", name, FUNCTIONS);
    }
    return name;
  }

  private static String attribute(String name, boolean called, Token of) {
    if (called) {
      return known("method", name, TemplateResolver.METHODS);
    }
    if (of.is("loop")) {
      return known("attribute of loop", name, TemplateResolver.LOOP);
    }
    if (name.equals("class")) {
      throw refused("the attribute " + name);
    }
    return name;
  }

  /** jinjava has a null, none and None of its own; ours are tested by tests of ours. */
  private static String test(String name) {
    return known("test", name.toLowerCase(Locale.ROOT), TemplateFilters.TESTS);
  }

  private static String known(String what, String name, Set<String> names) {
    if (!names.contains(name)) {
      throw refused("the " + what + " '" + name + "'");
    }
    return name;
  }

  /** The value of a string literal as Python reads it. */
  private static String unescaped(String literal) {
    StringBuilder text = new StringBuilder();
    int end = literal.length() - 1;
    int i = 1;
    while (i < end) {
      char c = literal.charAt(i++);
      if (c != '\\') {
        text.append(c);
        continue;
      }
      char escape = literal.charAt(i++);
      int digits = escape == 'x' ? 2 : escape == 'u' ? 4 : escape == 'U' ? 8 : 0;
      if (digits > 0 && i + digits <= end) {
        text.appendCodePoint(Integer.parseInt(literal.substring(i, i + digits), 16));
        i += digits;
      } else {
        text.append(escaped(escape, literal));
      }
    }
    return text.toString();
  }

  private static String escaped(char escape, String literal) {
    return switch (escape) {
      case 'n' -> "\n";
      case 't' -> "\t";
      case 'r' -> "\r";
      case '\\', '\'', '"' -> String.valueOf(escape);
      case '\n' -> "";
      default -> throw refused("the escape \\" + escape + " in " + literal);
    };
  }

  /** The index of a token outside of all brackets, -1 if there is none. */
  static int indexOf(List<Token> tokens, String text) {
    int depth = 0;
    for (int i = 0; i < tokens.size(); i++) {
      Token token = tokens.get(i);
      if (depth == 0 && token.is(text)) {
        return i;
      }
      String operator = token.kind().equals("operator") ? token.text() : "";
      depth += OPENING.contains(operator) ? 1 : CLOSING.contains(operator) ? -1 : 0;
    }
    return -1;
  }

  /** All of these tokens in a row, for messages. */
  static List<String> texts(List<Token> tokens) {
    List<String> texts = new ArrayList<>();
    tokens.forEach(token -> texts.add(token.text()));
    return texts;
  }
}
