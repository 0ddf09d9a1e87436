package io.github.sparkrlhf.jobs;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.sparkrlhf.spark.SparkTestSession;
import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * A command run in this process as from a shell.
 *
 * @param exitCode the exit code
 * @param out what it wrote to standard output
 * @param err what it wrote to standard error
 */
record CommandLineRun(int exitCode, String out, String err) {
  /** Runs a step of a chain, prints what it printed, and fails if the step fails. */
  static void step(Path warehouse, String... command) {
    System.out.println("$ " + String.join(" ", command));
    List<String> arguments = new ArrayList<>(Arrays.asList(command));
    arguments.addAll(List.of("--warehouse", warehouse.toString()));
    CommandLineRun run = of(arguments.toArray(String[]::new));
    System.out.println(run.out());
    assertThat(run.exitCode()).as(run.err()).isZero();
  }

  static CommandLineRun of(String... args) {
    SparkTestSession.get();
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    ByteArrayOutputStream err = new ByteArrayOutputStream();
    int exitCode =
        Main.run(
            new PrintStream(out, true, StandardCharsets.UTF_8),
            new PrintStream(err, true, StandardCharsets.UTF_8),
            args);
    return new CommandLineRun(
        exitCode, out.toString(StandardCharsets.UTF_8), err.toString(StandardCharsets.UTF_8));
  }
}
