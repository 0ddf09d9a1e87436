package io.github.sparkrlhf.jobs;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.sparkrlhf.spark.SparkTestSession;
import io.github.sparkrlhf.tables.Tables;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The first command of the README, on a smaller log, and what people ask its tables. */
class QuickstartIT {
  private static final Path SQL = Path.of("..", "conf", "sql");

  @TempDir private Path folder;

  @Test
  void theWholeChainRunsOnceAndAnswersTheQueriesOfTheNotebooksAndOfConf() throws IOException {
    CommandLineRun run = quickstart("2");
    System.out.println(run.out());
    assertThat(run.exitCode()).as(run.err()).isZero();
    assertThat(run.out()).contains("gold reward before PPO", "gold reward after PPO");

    CommandLineRun again = quickstart("2");
    assertThat(again.exitCode()).as(again.err()).isZero();
    assertThat(again.out()).contains("Run ppo is already complete");
    CommandLineRun other = quickstart("3");
    assertThat(other.exitCode()).isEqualTo(2);
    assertThat(other.err()).contains("it was made with").contains("choose another --dir");

    SparkSession spark = SparkTestSession.withWarehouse(folder.resolve("warehouse"));
    Tables.open(spark, "rlhf", "rlhf").registerViews();
    SqlJob.statements(Files.readString(SQL.resolve("views.sql"))).forEach(spark::sql);
    for (Path notebook : Notebooks.files()) {
      assertSameColumns(spark, notebook);
    }
    try (Stream<Path> queries = Files.list(SQL.resolve("queries"))) {
      for (Path query : queries.toList()) {
        assertThat(spark.sql(SqlJob.statements(Files.readString(query)).get(0)).collectAsList())
            .as(query.toString())
            .isNotEmpty();
      }
    }
  }

  /** The results have the columns that the notebook shows. */
  private static void assertSameColumns(SparkSession spark, Path notebook) throws IOException {
    int results = 0;
    for (Notebooks.SqlCell cell : Notebooks.sqlCells(notebook)) {
      List<List<List<String>>> columns = new ArrayList<>();
      for (String statement : cell.statements()) {
        Dataset<Row> result = spark.sql(statement);
        result.collectAsList();
        if (result.columns().length > 0) {
          columns.add(SqlJob.columns(result.schema()));
        }
      }
      assertThat(columns).as("%s: %s", notebook, cell.statements()).isEqualTo(cell.columns());
      results += columns.size();
    }
    assertThat(results).as(notebook.toString()).isGreaterThanOrEqualTo(5);
  }

  private CommandLineRun quickstart(String iterations) {
    return CommandLineRun.of(
        "quickstart", "--dir", folder.toString(), "--events", "2000", "--iterations", iterations);
  }
}
