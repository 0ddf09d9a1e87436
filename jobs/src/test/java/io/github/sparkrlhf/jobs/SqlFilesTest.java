package io.github.sparkrlhf.jobs;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.sparkrlhf.spark.SparkTestSession;
import java.io.IOException;
import java.io.StringReader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Properties;
import java.util.stream.Stream;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** The scripts in conf/sql, in a session that knows the catalog and nothing else of the suite. */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
class SqlFilesTest {
  private static final Path FOLDER = Path.of("..", "conf", "sql");

  private SparkSession spark;
  private Path warehouse;

  @BeforeAll
  void opensASession() throws IOException {
    warehouse = SampleTables.warehouse();
    spark = SparkTestSession.get().newSession();
    Properties catalog = new Properties();
    catalog.load(new StringReader(Files.readString(FOLDER.resolve("catalog.conf"))));
    catalog.stringPropertyNames().stream()
        .filter(name -> name.startsWith("spark.sql.catalog."))
        .forEach(name -> spark.conf().set(name, catalog.getProperty(name)));
    spark.conf().set("spark.sql.catalog.rlhf.warehouse", warehouse.toString());
    run("tables.sql");
    run("views.sql");
  }

  static Stream<Path> queries() throws IOException {
    try (Stream<Path> files = Files.list(FOLDER.resolve("queries"))) {
      return files.sorted().toList().stream();
    }
  }

  @ParameterizedTest
  @MethodSource("queries")
  void everyQueryFindsSomething(Path query) throws IOException {
    String text = Files.readString(query);
    assertThat(text).startsWith("-- ");
    List<String> statements = SqlJob.statements(text);
    assertThat(statements).hasSize(1);
    assertThat(spark.sql(statements.get(0)).collectAsList())
        .isNotEmpty()
        .noneMatch(row -> row.mkString("|").contains("unfinished"));
  }

  @Test
  void thereAreTwentyQueriesAndThePageNamesEach() throws IOException {
    String page = Files.readString(Path.of("..", "docs", "sql.md"));
    assertThat(queries())
        .hasSizeGreaterThanOrEqualTo(20)
        .allMatch(query -> page.contains("(../conf/sql/queries/" + query.getFileName() + ")"));
  }

  @Test
  void theJobRunsFilesBeforeTheStatement() {
    CommandLineRun run =
        CommandLineRun.of(
            "sql",
            "--file",
            FOLDER.resolve("views.sql").toString(),
            "SELECT run_id, accuracy FROM reward_models",
            "--format",
            "csv",
            "--warehouse",
            warehouse.toString());
    assertThat(run.err()).isEmpty();
    assertThat(run.out()).isEqualTo("run_id,accuracy\nreward,0.7\n");
    assertThat(CommandLineRun.of("sql", "--warehouse", warehouse.toString()).err())
        .isEqualTo("There is nothing to run: give a statement, --file or --stdin\n");
  }

  private void run(String script) throws IOException {
    SqlJob.statements(Files.readString(FOLDER.resolve(script))).forEach(spark::sql);
  }
}
