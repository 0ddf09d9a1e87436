package io.github.sparkrlhf.tables;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import org.apache.spark.sql.types.StructField;
import org.junit.jupiter.api.Test;

/** docs/tables.md and conf/sql/tables.sql say of the tables what {@link Table} says. */
class TablesPageTest {
  private static final Path PAGE = Path.of("..", "docs", "tables.md");
  private static final Path SCRIPT = Path.of("..", "conf", "sql", "tables.sql");
  private static final String HEAD = "## The tables\n";

  private static final String REGENERATE =
      "./mvnw -q -o package -pl common -Dtest=TablesPageTest -Dtables.page=write";

  private static final String PREFACE =
      """

      From here on this page is written by a test from the schemas in the code, `Table.java`. The same texts are comments in the catalog: `DESCRIBE rlhf.rlhf.pairs` shows them. The first column of each table is `run_id`, the run that wrote the row.
      """;

  @Test
  void thePageSaysWhatTheSchemasSay() throws IOException {
    String page = Files.readString(PAGE);
    String byHand = page.substring(0, page.indexOf(HEAD));
    assertIs(PAGE, byHand + generated());
  }

  @Test
  void theScriptRegistersTheTables() throws IOException {
    assertIs(SCRIPT, script());
  }

  private static void assertIs(Path file, String expected) throws IOException {
    if (System.getProperty("tables.page", "").equals("write")) {
      Files.writeString(file, expected);
    }
    assertThat(Files.readString(file))
        .as(file + " differs from Table.java; write it anew by\n  " + REGENERATE)
        .isEqualTo(expected);
  }

  @Test
  void everyColumnSaysWhatItMeans() {
    for (Table table : Table.values()) {
      assertThat(table.row()).as(table.tableName()).isNotBlank();
      assertThat(table.schema().fields())
          .as(table.tableName())
          .allSatisfy(field -> assertThat(field.getComment().isDefined()).isTrue());
    }
  }

  private static String script() {
    StringBuilder script =
        new StringBuilder(
            """
            -- The tables in the catalog rlhf and, by their bare names, views of complete runs.
            -- For sessions that are not the suite's: spark-sql -i conf/sql/tables.sql
            -- Written by TablesPageTest from Table.java.

            CREATE NAMESPACE IF NOT EXISTS rlhf.rlhf;
            """);
    for (Table table : Table.values()) {
      script.append("\n" + Tables.createStatement(table, name(table)) + ";\n");
    }
    script.append("\n");
    for (Table table : Table.values()) {
      script.append(Tables.viewStatement(table, name(table), name(Table.RUNS)) + ";\n");
    }
    return script.toString();
  }

  private static String name(Table table) {
    return "rlhf.rlhf." + table.tableName();
  }

  private static String generated() {
    StringBuilder page = new StringBuilder(HEAD + PREFACE + "\n");
    page.append("| table | one row per | written by |\n|---|---|---|\n");
    for (Table table : Table.values()) {
      page.append(
          "| [`%s`](#%s) | %s | %s |\n"
              .formatted(table.tableName(), table.tableName(), cell(table.row()), writers(table)));
    }
    for (Table table : Table.values()) {
      page.append("\n### " + table.tableName() + "\n\n");
      page.append("One row per " + table.row() + ". Written by " + writers(table) + ".\n\n");
      page.append("| column | type | meaning |\n|---|---|---|\n");
      for (StructField field : table.schemaWithoutRun().fields()) {
        page.append(
            "| `%s` | `%s` | %s |\n"
                .formatted(field.name(), field.dataType().sql(), cell(field.getComment().get())));
      }
    }
    return page.toString();
  }

  private static String writers(Table table) {
    return String.join(
        ", ",
        Arrays.stream(table.writers().split(", "))
            .map(job -> job.contains(" ") ? job : "`" + job + "`")
            .toList());
  }

  private static String cell(String text) {
    return text.replace("|", "\\|");
  }
}
