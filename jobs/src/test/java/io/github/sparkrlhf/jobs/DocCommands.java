package io.github.sparkrlhf.jobs;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * The commands of the suite in the code blocks of a page, as a shell would read them.
 *
 * @param page the page
 * @param section the heading of second level above it, without the marks
 * @param line the line on which the command begins, from 1
 * @param words the words of the command, the name of the job first
 */
record DocCommands(Path page, String section, int line, List<String> words) {
  /** A program that runs the suite, or a bare name of a job before an option or a quoted text. */
  private static final Pattern START =
      Pattern.compile(
          "rlhf |java -jar \\S*spark-rlhf\\.jar|spark-submit |\\./mvnw .*&& java -jar |(?:"
              + String.join("|", jobs())
              + ")(?= [-@\"'])");

  private static final Pattern JAR = Pattern.compile("\\S*spark-rlhf\\.jar|rlhf");

  /** All commands of a page. */
  static List<DocCommands> of(Path page) throws IOException {
    List<DocCommands> commands = new ArrayList<>();
    List<String> lines = Files.readAllLines(page);
    boolean fenced = false;
    String section = "";
    for (int i = 0; i < lines.size(); i++) {
      String line = lines.get(i);
      if (line.strip().startsWith("```")) {
        fenced = !fenced;
      }
      if (line.startsWith("## ")) {
        section = line.substring(3);
      }
      String text = fenced ? line.strip() : line.startsWith("    ") ? line.substring(4) : "";
      Matcher start = START.matcher(text);
      if (start.lookingAt()) {
        ShellWords shell = new ShellWords(page + ":" + (i + 1), text);
        int first = i;
        while (shell.isOpen()) {
          i++;
          shell.append(lines.get(i).strip());
        }
        commands.add(new DocCommands(page, section, first + 1, afterTheProgram(shell.words())));
      }
    }
    return commands;
  }

  /** The names of the jobs. */
  static List<String> jobs() {
    return Main.commandLine(System.out, System.err).getSubcommands().keySet().stream()
        .filter(name -> !name.equals("help"))
        .toList();
  }

  /**
   * Runs the commands of a section of docs/tutorial.md one after the other; each must succeed.
   *
   * @param folder where tables and models go
   * @param name of the file of data on the page
   * @param data where that file is
   */
  static void runTutorial(String section, Path folder, String name, Path data) throws IOException {
    List<DocCommands> commands =
        of(Path.of("..", "docs", "tutorial.md")).stream()
            .filter(command -> command.section().equals(section))
            .toList();
    assertThat(commands).as(section).hasSizeGreaterThan(5);
    for (DocCommands command : commands) {
      CommandLineRun.step(
          folder.resolve("warehouse"),
          command.words().stream()
              .map(word -> word.replace(name, data.toString()))
              .map(word -> word.startsWith("models/") ? folder.resolve(word).toString() : word)
              .toArray(String[]::new));
    }
  }

  private static List<String> afterTheProgram(List<String> words) {
    for (int i = 0; i < words.size(); i++) {
      if (JAR.matcher(words.get(i)).matches()) {
        return words.subList(i + 1, words.size());
      }
    }
    return words;
  }

  @Override
  public String toString() {
    return page.getFileName() + ":" + line + ": " + String.join(" ", words);
  }
}
