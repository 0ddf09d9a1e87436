package io.github.sparkrlhf.jobs;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/** A DAG file, loaded by {@code python3} with stand-ins for Airflow ({@code src/test/python}). */
final class AirflowDag {
  /** The one that the project ships. */
  static final Path FILE = Path.of("..", "conf", "airflow", "rlhf_dag.py");

  private static final Path RUNNER = Path.of("src", "test", "python", "dag_runner.py");
  private static final String PYTHON = "python3";

  /**
   * What the runner of the stand-ins ended with.
   *
   * @param exitCode 0 unless the DAG file could not be loaded
   * @param result what it printed: the graph, or what became of each task
   * @param log its standard error, the output of the submissions among it
   */
  record Result(int exitCode, JsonNode result, String log) {}

  private final Path file;
  private final Path directory;
  private final Map<String, String> environment;

  /**
   * @param file the DAG
   * @param directory for logs
   * @param environment where Airflow's connections and variables stand, as for Airflow itself
   */
  AirflowDag(Path file, Path directory, Map<String, String> environment) {
    this.file = file;
    this.directory = directory;
    this.environment = environment;
  }

  /** Whether there is a Python to load DAGs with. */
  static boolean pythonIsThere() {
    try {
      return new ProcessBuilder(PYTHON, "--version").start().waitFor() == 0;
    } catch (IOException e) {
      return false;
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException("interrupted", e);
    }
  }

  /**
   * The graph of a logical date, with the command line that each task would submit.
   *
   * @param parameters of the DAG, as {@code name=value}
   */
  Result graph(String date, String... parameters) throws IOException {
    return python("render", Duration.ofMinutes(1), date, parameters);
  }

  /** Runs the tasks of a logical date, one after the other, and says what became of each. */
  Result run(Duration timeout, String date, String... parameters) throws IOException {
    return python("run", timeout, date, parameters);
  }

  private Result python(String verb, Duration timeout, String date, String... parameters)
      throws IOException {
    List<String> command =
        new ArrayList<>(List.of(PYTHON, "-B", RUNNER.toString(), verb, file.toString(), date));
    command.addAll(List.of(parameters));
    Path out = Files.createTempFile(directory, "dag", ".json");
    Path err = Files.createTempFile(directory, "dag", ".log");
    ProcessBuilder builder =
        new ProcessBuilder(command).redirectOutput(out.toFile()).redirectError(err.toFile());
    builder.environment().putAll(environment);
    Process process = builder.start();
    try {
      if (!process.waitFor(timeout.toMillis(), TimeUnit.MILLISECONDS)) {
        throw new IllegalStateException(
            "waited " + timeout.toSeconds() + " s in vain: " + Files.readString(err));
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException("interrupted", e);
    } finally {
      process.descendants().forEach(ProcessHandle::destroyForcibly);
      process.destroyForcibly();
    }
    return new Result(
        process.exitValue(), new ObjectMapper().readTree(out.toFile()), Files.readString(err));
  }
}
