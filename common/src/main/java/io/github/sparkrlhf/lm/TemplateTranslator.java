package io.github.sparkrlhf.lm;

import io.github.sparkrlhf.lm.TemplateExpression.Token;
import io.github.sparkrlhf.spark.JobFailure;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * A chat template of transformers as a template of jinjava that means the same. White space is
 * controlled here as Jinja does with {@code trim_blocks} and {@code lstrip_blocks}; texts and
 * literals become variables; what jinjava would read otherwise is refused by name.
 */
final class TemplateTranslator {
  private static final Set<String> ENDS =
      Set.of("endfor", "endif", "endset", "endmacro", "endgeneration");

  private final String source;
  private final StringBuilder target = new StringBuilder();
  private final Map<String, Object> literals = new LinkedHashMap<>();
  private final Set<String> macros = new HashSet<>();
  private final Deque<String> open = new ArrayDeque<>();
  private int at;
  private boolean lineStarts = true;
  private boolean stripsNext;

  private TemplateTranslator(String source) {
    this.source = source;
  }

  /**
   * What jinjava renders.
   *
   * @param source the template for jinjava
   * @param literals the variables that it needs
   */
  record Translation(String source, Map<String, Object> literals) {}

  /**
   * Translates a template.
   *
   * @throws JobFailure naming the construct, if one is not supported
   */
  static Translation translate(String template) {
    String source = template.replace("\r\n", "\n").replace('\r', '\n');
    source = source.endsWith("\n") ? source.substring(0, source.length() - 1) : source;
    TemplateTranslator translator = new TemplateTranslator(source);
    translator.run();
    return new Translation(translator.target.toString(), translator.literals);
  }

  private void run() {
    while (at < source.length()) {
      int tag = nextTag();
      text(source.substring(at, tag), tag);
      if (tag == source.length()) {
        break;
      }
      lineStarts = false;
      stripsNext = false;
      switch (source.charAt(tag + 1)) {
        case '#' -> comment(tag);
        case '{' -> output(tag);
        default -> statement(tag);
      }
    }
    if (!open.isEmpty()) {
      throw TemplateExpression.refused("'" + open.peek() + "' without end");
    }
  }

  private int nextTag() {
    for (int i = at; i + 1 < source.length(); i++) {
      if (source.charAt(i) == '{' && "{%#".indexOf(source.charAt(i + 1)) >= 0) {
        return i;
      }
    }
    return source.length();
  }

  /** Emits the text before a tag without the white space that the tags around it take away. */
  private void text(String found, int tag) {
    String text = stripsNext ? PythonText.leftStrip(found, null) : found;
    char sign = tag + 2 < source.length() ? source.charAt(tag + 2) : ' ';
    boolean block = tag < source.length() && source.charAt(tag + 1) != '{';
    if (tag < source.length() && sign == '-') {
      text = PythonText.rightStrip(text, null);
    } else if (block && sign != '+') {
      int line = text.lastIndexOf('\n') + 1;
      boolean atLineStart = line > 0 || lineStarts;
      if (atLineStart && PythonText.strip(text.substring(line), null).isEmpty()) {
        text = text.substring(0, line);
      }
    }
    if (!text.isEmpty()) {
      String name = TemplateExpression.LITERAL + literals.size();
      literals.put(name, text);
      target.append("{{ ").append(name).append(" }}");
    }
  }

  private int start(int tag) {
    char sign = tag + 2 < source.length() ? source.charAt(tag + 2) : ' ';
    return tag + (sign == '-' || sign == '+' ? 3 : 2);
  }

  /** Passes over the end of a tag and the line feed that goes with it. */
  private void finish(int end, boolean block) {
    char sign = source.charAt(end);
    boolean signed = sign == '-' || sign == '+';
    at = end + (signed ? 3 : 2);
    stripsNext = sign == '-';
    if (block && !signed && at < source.length() && source.charAt(at) == '\n') {
      at++;
      lineStarts = true;
    }
  }

  private void comment(int tag) {
    int end = source.indexOf("#}", tag + 2);
    if (end < 0) {
      throw TemplateExpression.refused("a comment without end");
    }
    boolean signed = end > tag + 2 && "-+".indexOf(source.charAt(end - 1)) >= 0;
    finish(signed ? end - 1 : end, true);
  }

  private void output(int tag) {
    List<Token> tokens = new ArrayList<>();
    int end = TemplateExpression.scan(source, start(tag), "}}", tokens);
    target.append("{{ (").append(translated(tokens)).append(")|").append(TemplateFilters.OUTPUT);
    target.append(" }}");
    finish(end, false);
  }

  private void statement(int tag) {
    List<Token> tokens = new ArrayList<>();
    int end = TemplateExpression.scan(source, start(tag), "%}", tokens);
    if (tokens.isEmpty()) {
      throw TemplateExpression.refused("an empty tag");
    }
    String name = tokens.get(0).text();
    List<Token> rest = tokens.subList(1, tokens.size());
    switch (name) {
      case "for" -> loop(rest);
      case "set" -> set(rest);
      case "macro" -> macro(rest);
      case "if" -> {
        open.push(name);
        emit(name, translated(rest));
      }
      case "elif", "else" -> branch(name, rest);
      case "break", "continue" -> emit(name, "");
      case "generation" -> open.push(name);
      default -> close(name);
    }
    finish(end, true);
  }

  private void emit(String name, String rest) {
    target.append("{% ").append(name).append(' ').append(rest).append(" %}");
  }

  private String translated(List<Token> tokens) {
    return new TemplateExpression(tokens, macros, literals).translated();
  }

  private void loop(List<Token> rest) {
    for (String word : List.of("if", "recursive")) {
      if (TemplateExpression.indexOf(rest, word) >= 0) {
        throw TemplateExpression.refused("'for' with '" + word + "'");
      }
    }
    open.push("for");
    int in = TemplateExpression.indexOf(rest, "in");
    if (in < 0) {
      throw TemplateExpression.refused("'for' without 'in'");
    }
    emit(
        "for",
        translated(rest.subList(0, in))
            + " in ("
            + translated(rest.subList(in + 1, rest.size()))
            + ")|"
            + TemplateFilters.ITEMS);
    target.append("{{ ").append(TemplateFilters.BUDGET).append('|');
    target.append(TemplateFilters.SPEND).append(" }}");
  }

  private void set(List<Token> rest) {
    int equals = TemplateExpression.indexOf(rest, "=");
    List<Token> left = equals < 0 ? rest : rest.subList(0, equals);
    boolean attribute = left.size() == 3 && left.get(1).is(".") && equals >= 0;
    if (left.size() != 1 && !attribute) {
      throw TemplateExpression.refused("'set' of " + TemplateExpression.texts(left));
    }
    String target = translated(left);
    if (equals < 0) {
      open.push("set");
      emit("set", target);
    } else {
      List<Token> right = rest.subList(equals + 1, rest.size());
      String value = translated(right);
      // jinjava takes a mapping in parentheses for a tuple.
      boolean mapping = !right.isEmpty() && right.get(0).is("{");
      if (mapping && right.stream().anyMatch(token -> token.is("+") || token.is("~"))) {
        throw TemplateExpression.refused("concatenation in a mapping");
      }
      emit("set", target + " = " + (mapping ? value : bounded(value)));
    }
  }

  private static String bounded(String value) {
    return "(" + value + ")|" + TemplateFilters.BOUNDED;
  }

  private void macro(List<Token> rest) {
    if (rest.isEmpty()) {
      throw TemplateExpression.refused("a macro without name");
    }
    open.push("macro");
    macros.add(rest.get(0).text());
    emit("macro", translated(rest));
  }

  private void branch(String name, List<Token> rest) {
    if (!"if".equals(open.peek())) {
      throw TemplateExpression.refused("'" + name + "' of " + open.peek());
    }
    emit(name, translated(rest));
  }

  private void close(String name) {
    if (!ENDS.contains(name)) {
      throw TemplateExpression.refused("the tag '" + name + "'");
    }
    String opened = open.isEmpty() ? "" : open.pop();
    if (!name.equals("end" + opened)) {
      throw TemplateExpression.refused("'" + name + "' after '" + opened + "'");
    }
    if (!name.equals("endgeneration")) {
      emit(name, "");
    }
  }
}
