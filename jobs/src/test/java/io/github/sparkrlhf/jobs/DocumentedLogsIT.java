package io.github.sparkrlhf.jobs;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.sparkrlhf.spark.SharedData;
import io.github.sparkrlhf.spark.SparkTestSession;
import io.github.sparkrlhf.tables.Tables;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Runs the commands of docs/feedback.md on the real logs and holds its counts against them. */
class DocumentedLogsIT {
  private static final Path PAGE = Path.of("..", "docs", "feedback.md");
  private static final Pattern WORD = Pattern.compile("\"([^\"]*)\"|(\\S+)");

  @TempDir private Path folder;

  @Test
  void everyRealLogGoesThroughItsCommandAndItsRowsReconcile() throws IOException {
    String section = section("## Real logs");
    Map<String, List<String>> commands = commands(section);
    Map<String, List<Long>> documented = counts(section);
    assertThat(commands.keySet()).isEqualTo(documented.keySet()).hasSize(8);
    for (String log : commands.keySet()) {
      List<String> command = new ArrayList<>(commands.get(log));
      command.set(2, SharedData.file("data/" + log + ".parquet").toString());
      command.addAll(List.of("--run-id", log));
      CommandLineRun.step(folder.resolve("warehouse"), command.toArray(String[]::new));

      assertThat(counted(log))
          .as(log + ": rows, quarantine, ratings, comparisons, pairs")
          .isEqualTo(documented.get(log));
    }
  }

  private static String section(String heading) throws IOException {
    String page = Files.readString(PAGE);
    String after = page.substring(page.indexOf(heading) + heading.length());
    return after.substring(0, after.indexOf("\n## "));
  }

  /** The indented lines that start with {@code pairs --input LOG.parquet}, by log. */
  private static Map<String, List<String>> commands(String section) {
    Map<String, List<String>> commands = new TreeMap<>();
    String joined = section.replaceAll("\\\\\n\\s*", "");
    Pattern line = Pattern.compile("(?m)^    (pairs --input (\\w+)\\.parquet.*)$");
    for (MatchResult match : line.matcher(joined).results().toList()) {
      List<String> words =
          WORD.matcher(match.group(1))
              .results()
              .map(word -> word.group(1) == null ? word.group(2) : word.group(1))
              .toList();
      commands.put(match.group(2), words);
    }
    return commands;
  }

  /** The numbers of each row of the section's table, by log. */
  private static Map<String, List<Long>> counts(String section) {
    Map<String, List<Long>> counts = new TreeMap<>();
    Pattern row = Pattern.compile("(?m)^\\| `(\\w+)` \\|([\\d,| ]+)\\|$");
    for (MatchResult match : row.matcher(section).results().toList()) {
      counts.put(
          match.group(1),
          Arrays.stream(match.group(2).split("\\|"))
              .map(cell -> Long.valueOf(cell.strip().replace(",", "")))
              .toList());
    }
    return counts;
  }

  /** Rows of the log, and what became of them as the tables say. */
  private List<Long> counted(String run) {
    SparkSession spark = SparkTestSession.withWarehouse(folder.resolve("warehouse"));
    Tables.open(spark, "rlhf", "rlhf").registerViews();
    long rows =
        spark.read().parquet(SharedData.file("data/" + run + ".parquet").toString()).count();
    long quarantine = count(spark, "quarantine", run);
    long ratings = count(spark, "ratings", run);
    Row used =
        spark
            .sql(
                "SELECT count(DISTINCT original_id) FROM comparisons WHERE kind IN ('comparison', 'ranking') AND run_id = '"
                    + run
                    + "'")
            .first();
    assertThat(rows).as(run + " reconciles").isEqualTo(quarantine + ratings + used.getLong(0));
    return List.of(
        rows, quarantine, ratings, count(spark, "comparisons", run), count(spark, "pairs", run));
  }

  private static long count(SparkSession spark, String table, String run) {
    return spark.table(table).where("run_id = '" + run + "'").count();
  }
}
