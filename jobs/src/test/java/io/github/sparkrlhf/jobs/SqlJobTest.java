package io.github.sparkrlhf.jobs;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.ByteArrayInputStream;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class SqlJobTest {
  @TempDir private Path warehouse;

  @Test
  void printsAnAlignedTable() {
    CommandLineRun run = sql("SELECT id * 1000 AS number, 'x' || id AS text FROM range(2)");
    assertThat(run.err()).isEmpty();
    assertThat(run.exitCode()).isZero();
    assertThat(run.out())
        .isEqualTo(
            """
            number  text
            ------  ----
                 0  x0
              1000  x1
            """);
  }

  @Test
  void printsCsvAndJson() {
    String statement = "SELECT 1 AS n, 'a\"b,c' AS text, NULL AS nothing";
    assertThat(sql(statement, "--format", "csv").out())
        .isEqualTo("n,text,nothing\n1,\"a\"\"b,c\",\n");
    assertThat(sql(statement, "--format", "json").out())
        .isEqualTo("{\"n\":1,\"text\":\"a\\\"b,c\"}\n");
  }

  @Test
  void saysThatThereAreMoreRows() {
    assertThat(sql("SELECT id FROM range(3)", "--limit", "2").out())
        .endsWith("Only the first 2 rows; --limit shows more\n");
  }

  @Test
  void knowsTheTablesOfAnEmptyWarehouse() {
    assertThat(sql("SELECT count(*) AS n FROM pairs", "--format", "csv").out()).isEqualTo("n\n0\n");
  }

  @Test
  void aTableCreatedHereIsFoundLaterByItsBareName() {
    assertThat(sql("CREATE TABLE numbers AS SELECT id FROM range(7)").exitCode()).isZero();
    assertThat(sql("SELECT count(*) AS n FROM numbers", "--format", "csv").out())
        .isEqualTo("n\n7\n");
  }

  @Test
  void aWrongStatementIsOneLine() {
    CommandLineRun run = sql("SELECT colour FROM pairs");
    assertThat(run.exitCode()).isEqualTo(2);
    assertThat(run.err()).isEqualTo("Cannot run the statement: there is no column 'colour'\n");

    CommandLineRun syntax = sql("SELEKT 1");
    assertThat(syntax.exitCode()).isEqualTo(2);
    assertThat(syntax.err()).startsWith("Cannot run the statement: ").hasLineCount(1);

    CommandLineRun missing = sql("SELECT * FROM nowhere");
    assertThat(missing.exitCode()).isEqualTo(2);
    assertThat(missing.err()).contains("nowhere").hasLineCount(1);
  }

  @Test
  void answersEachStatementOnStandardInputWithALineAndGoesOnAfterAWrongOne() {
    String statements =
        """
        CREATE TEMPORARY VIEW numbers AS
        SELECT id FROM range(3);
        SELECT id, cast(NULL AS string) AS text, array(1.5D) AS list FROM numbers ORDER BY id;
        SELECT colour FROM numbers;
        -- a comment;
        SELECT raise_error('broken') AS e;
        SELECT count(*) AS n FROM numbers
        """;
    InputStream before = System.in;
    System.setIn(new ByteArrayInputStream(statements.getBytes(StandardCharsets.UTF_8)));
    try {
      CommandLineRun run =
          CommandLineRun.of(
              "sql",
              "--stdin",
              "--format",
              "typed",
              "--limit",
              "2",
              "--warehouse",
              warehouse.toString());
      assertThat(run.err()).isEmpty();
      assertThat(run.exitCode()).isZero();
      assertThat(run.out())
          .isEqualTo(
              """
              {"columns":[],"more":false,"rows":[]}
              {"columns":[["id","bigint"],["text","string"],["list","array<double>"]],"more":true,"rows":[["0",null,"[1.5]"],["1",null,"[1.5]"]]}
              {"error":"Cannot run the statement: there is no column 'colour'"}
              {"error":"Cannot run the statement: broken"}
              {"columns":[["n","bigint"]],"more":false,"rows":[["3"]]}
              """);
    } finally {
      System.setIn(before);
    }
  }

  private CommandLineRun sql(String statement, String... options) {
    String[] args = new String[options.length + 4];
    args[0] = "sql";
    args[1] = statement;
    args[2] = "--warehouse";
    args[3] = warehouse.toString();
    System.arraycopy(options, 0, args, 4, options.length);
    return CommandLineRun.of(args);
  }
}
