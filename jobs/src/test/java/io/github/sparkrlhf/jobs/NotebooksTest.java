package io.github.sparkrlhf.jobs;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.sparkrlhf.spark.SparkTestSession;
import io.github.sparkrlhf.tables.Tables;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** The queries in notebooks/, run again: their results have the columns that the notebooks show. */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
class NotebooksTest {
  private static final Path FOLDER = Path.of("..", "notebooks");
  private static final long GREATEST_BYTES = 200_000;

  private SparkSession spark;

  @BeforeAll
  void opensASessionAsTheNotebooksDo() throws IOException {
    spark = SparkTestSession.withWarehouse(SampleTables.warehouse());
    Tables.open(spark, "rlhf", "rlhf").registerViews();
    SqlJob.statements(Files.readString(Path.of("..", "conf", "sql", "views.sql")))
        .forEach(spark::sql);
  }

  static Stream<Path> notebooks() throws IOException {
    try (Stream<Path> files = Files.list(FOLDER)) {
      return files.filter(file -> file.toString().endsWith(".ipynb")).sorted().toList().stream();
    }
  }

  @ParameterizedTest
  @MethodSource("notebooks")
  void everyQueryGivesTheColumnsThatItsOutputHas(Path notebook) throws IOException {
    int queries = 0;
    for (JsonNode cell : cells(notebook)) {
      String source = text(cell.get("source"));
      if (!source.startsWith("%%sql")) {
        continue;
      }
      List<List<List<String>>> results = new ArrayList<>();
      for (String statement : SqlJob.statements(source.substring(source.indexOf('\n') + 1))) {
        Dataset<Row> result = spark.sql(statement);
        result.collectAsList();
        if (result.columns().length > 0) {
          results.add(SqlJob.columns(result.schema()));
        }
      }
      assertThat(results).as(source).isNotEmpty().isEqualTo(recorded(cell));
      queries += results.size();
    }
    assertThat(queries).isGreaterThanOrEqualTo(5);
  }

  @Test
  void thereAreFourAndTheyAreExecutedWithoutErrorAndSmall() throws IOException {
    assertThat(notebooks()).hasSize(4);
    for (Path notebook : notebooks().toList()) {
      assertThat(Files.size(notebook)).as(notebook.toString()).isLessThan(GREATEST_BYTES);
      for (JsonNode cell : cells(notebook)) {
        if (cell.get("cell_type").asText().equals("code")) {
          assertThat(cell.get("execution_count").isInt()).as(text(cell.get("source"))).isTrue();
          assertThat(outputs(cell))
              .noneMatch(output -> output.get("output_type").asText().equals("error"));
        }
      }
    }
  }

  /** Columns and types of the results that a cell displayed, as notebooks/sparksql.py records. */
  private static List<List<List<String>>> recorded(JsonNode cell) {
    return outputs(cell)
        .map(output -> output.at("/metadata/columns"))
        .filter(columns -> !columns.isMissingNode())
        .map(columns -> stream(columns).map(c -> stream(c).map(JsonNode::asText).toList()).toList())
        .toList();
  }

  private static JsonNode cells(Path notebook) throws IOException {
    return new ObjectMapper().readTree(notebook.toFile()).get("cells");
  }

  private static Stream<JsonNode> outputs(JsonNode cell) {
    return stream(cell.get("outputs"));
  }

  /** A notebook holds a text as one string or as its lines. */
  private static String text(JsonNode source) {
    return source.isTextual()
        ? source.asText()
        : String.join("", stream(source).map(JsonNode::asText).toList());
  }

  private static Stream<JsonNode> stream(JsonNode array) {
    return StreamSupport.stream(array.spliterator(), false);
  }
}
