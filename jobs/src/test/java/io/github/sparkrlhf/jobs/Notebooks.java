package io.github.sparkrlhf.jobs;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;

/** What stands in the files of notebooks/. */
final class Notebooks {
  private static final Path FOLDER = Path.of("..", "notebooks");

  /**
   * A cell of SQL.
   *
   * @param statements in their order
   * @param columns names and types of each result that it displayed, as notebooks/sparksql.py
   *     records them
   */
  record SqlCell(List<String> statements, List<List<List<String>>> columns) {}

  private Notebooks() {}

  static List<Path> files() throws IOException {
    try (Stream<Path> files = Files.list(FOLDER)) {
      return files.filter(file -> file.toString().endsWith(".ipynb")).sorted().toList();
    }
  }

  /** The cells of SQL of a notebook, in their order. */
  static List<SqlCell> sqlCells(Path notebook) throws IOException {
    List<SqlCell> found = new ArrayList<>();
    for (JsonNode cell : cells(notebook)) {
      String source = text(cell.get("source"));
      if (source.startsWith("%%sql")) {
        found.add(
            new SqlCell(
                SqlJob.statements(source.substring(source.indexOf('\n') + 1)), columns(cell)));
      }
    }
    return found;
  }

  private static List<List<List<String>>> columns(JsonNode cell) {
    return outputs(cell)
        .map(output -> output.at("/metadata/columns"))
        .filter(columns -> !columns.isMissingNode())
        .map(columns -> stream(columns).map(c -> stream(c).map(JsonNode::asText).toList()).toList())
        .toList();
  }

  static JsonNode cells(Path notebook) throws IOException {
    return new ObjectMapper().readTree(notebook.toFile()).get("cells");
  }

  static Stream<JsonNode> outputs(JsonNode cell) {
    return stream(cell.get("outputs"));
  }

  /** A notebook holds a text as one string or as its lines. */
  static String text(JsonNode source) {
    return source.isTextual()
        ? source.asText()
        : String.join("", stream(source).map(JsonNode::asText).toList());
  }

  private static Stream<JsonNode> stream(JsonNode array) {
    return StreamSupport.stream(array.spliterator(), false);
  }
}
