package io.github.sparkrlhf.jobs;

import java.util.ArrayList;
import java.util.List;

/** A command split into words as a POSIX shell does: quotes, backslashes, commands over lines. */
final class ShellWords {
  private final String where;
  private final List<String> words = new ArrayList<>();
  private final StringBuilder word = new StringBuilder();
  private boolean inWord;
  private char quote;
  private boolean goesOn;

  /**
   * Reads the first line.
   *
   * @param where it stands, for messages
   */
  ShellWords(String where, String line) {
    this.where = where;
    read(line);
  }

  /** Whether a quote or a backslash at the end of the line makes the next line part of it. */
  boolean isOpen() {
    return quote != 0 || goesOn;
  }

  /** Reads the next line of an open command. */
  void append(String line) {
    if (quote != 0) {
      word.append('\n');
    }
    read(line);
  }

  /** The words, without quotes. */
  List<String> words() {
    return List.copyOf(words);
  }

  private void read(String line) {
    goesOn = false;
    for (int i = 0; i < line.length(); i++) {
      char c = line.charAt(i);
      if (quote == '\'') {
        quoted(c);
      } else if (c == '\\' && i + 1 == line.length()) {
        goesOn = true;
      } else if (c == '\\' && (quote == 0 || "\"\\`$".indexOf(line.charAt(i + 1)) >= 0)) {
        i++;
        inWord = true;
        word.append(line.charAt(i));
      } else if (c == '`') {
        throw new IllegalArgumentException(
            where + ": a shell would run what stands between backquotes");
      } else if (quote == '"') {
        quoted(c);
      } else if (c == '"' || c == '\'') {
        quote = c;
        inWord = true;
      } else if (c == ' ') {
        endWord();
      } else {
        inWord = true;
        word.append(c);
      }
    }
    if (!isOpen()) {
      endWord();
    }
  }

  private void quoted(char c) {
    if (c == quote) {
      quote = 0;
    } else {
      word.append(c);
    }
  }

  private void endWord() {
    if (inWord) {
      words.add(word.toString());
      word.setLength(0);
      inWord = false;
    }
  }
}
