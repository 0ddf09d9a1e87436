package io.github.sparkrlhf.jobs;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.sparkrlhf.spark.SharedData;
import io.github.sparkrlhf.spark.SparkTestSession;
import io.github.sparkrlhf.tables.Tables;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class PairsJobTest {
  @TempDir private Path folder;

  @Test
  void everyRowOfTheRealVotesIsAComparisonOrInQuarantine() {
    Path votes = SharedData.file("data/ukp_votes.parquet");
    CommandLineRun run =
        pairs(votes.toString(), List.of("--id", "vote_id", "--group", "topic", "--run-id", "ukp"));

    assertThat(run.err()).isEmpty();
    assertThat(run.exitCode()).isZero();
    assertThat(run.out()).contains("84,445 rows: 84,370 used, ").endsWith("Run ukp is complete\n");
    SparkSession spark = published();
    long comparisons = spark.table("comparisons").count();
    assertThat(comparisons + spark.table("quarantine").count()).isEqualTo(84_445);
    assertThat(spark.sql("SELECT DISTINCT annotator_id FROM comparisons").count()).isEqualTo(3_815);
    assertThat(spark.sql("SELECT sum(votes) FROM pairs").first().getLong(0)).isEqualTo(comparisons);
    assertThat(
            spark
                .sql(
                    "SELECT group_key FROM pairs GROUP BY group_key HAVING count(DISTINCT split) > 1")
                .count())
        .isZero();
  }

  @Test
  void anArgumentFileIsReadAndACompleteRunIsNotRunAgain() throws Exception {
    String log = log("SELECT 'p' AS prompt, 'x' AS response_a, 'y' AS response_b, 'a' AS choice");
    Path arguments =
        Files.writeString(
            folder.resolve("pairs.args"), "# the log\n--input " + log + "\n--seed 7\n");
    String[] command = {"pairs", "@" + arguments, "--warehouse", warehouse()};

    CommandLineRun first = CommandLineRun.of(command);
    assertThat(first.err()).isEmpty();
    assertThat(first.exitCode()).isZero();
    CommandLineRun second = CommandLineRun.of(command);

    assertThat(second.exitCode()).isZero();
    assertThat(second.out()).matches("Run pairs-[0-9a-f]{12} is already complete: nothing to do\n");
    assertThat(published().sql("SELECT configuration FROM runs").first().getString(0))
        .contains("\"seed\":7")
        .contains("\"max-quarantine-share\":0.05")
        .contains("\"split-shares\":\"0.8,0.1,0.1\"")
        .doesNotContain("warehouse");
  }

  @Test
  void theSameRunIdWithOtherOptionsIsRefused() {
    String log = log("SELECT 'p' AS prompt, 'x' AS response_a, 'y' AS response_b, 'a' AS choice");
    assertThat(pairs(log, List.of("--run-id", "r")).exitCode()).isZero();

    CommandLineRun other = pairs(log, List.of("--run-id", "r", "--seed", "1"));

    assertThat(other.exitCode()).isEqualTo(2);
    assertThat(other.err())
        .startsWith("Cannot run pairs: run 'r' is complete with another configuration: ")
        .hasLineCount(1);
  }

  @Test
  void aMissingFileIsAUsageError() {
    assertFails(
        pairs("/nowhere/votes.parquet", List.of()),
        2,
        "Cannot read /nowhere/votes.parquet: there is no file and no table of this name\n");
    assertFails(
        pairs("no_such_table", List.of()),
        2,
        "Cannot read no_such_table: there is no file and no table of this name\n");
  }

  @Test
  void aMissingColumnIsAUsageError() {
    String log = log("SELECT 'p' AS question, 'x' AS response_a, 'y' AS response_b, 'a' AS choice");
    assertFails(
        pairs(log, List.of()),
        2,
        "Cannot evaluate --prompt 'prompt': there is no column 'prompt'; the columns are question,"
            + " response_a, response_b, choice\n");
    assertFails(
        pairs(log, List.of("--prompt", "upper(question")),
        2,
        "Cannot evaluate --prompt 'upper(question': ");
    assertFails(
        pairs(log, List.of("--prompt", "max(question)")),
        2,
        "Cannot evaluate --prompt 'max(question)': it must give one value for each row");
    assertFails(
        pairs(log, List.of("--prompt", "question", "--id", "uuid()")),
        2,
        "Cannot evaluate --id 'uuid()': it gives another value each time");
  }

  @Test
  void aWrongTypeIsAUsageError() {
    String log = log("SELECT 'p' AS prompt, 'x' AS response_a, 'y' AS response_b, 1 AS choice");
    assertFails(
        pairs(log, List.of()),
        2,
        "Cannot read feedback: column 'choice' of type INT is none of 'a', 'b', 'tie'; give ");
    assertFails(
        pairs(log, List.of("--choice", "'a'", "--prompt", "array(prompt)")),
        2,
        "Cannot read feedback: --prompt 'array(prompt)' of type ARRAY<STRING> is not text");
  }

  @Test
  void anEmptyTableIsAQualityError() {
    String log =
        log("SELECT 'p' AS prompt, 'x' AS response_a, 'y' AS response_b, 'a' AS choice LIMIT 0");
    assertFails(pairs(log, List.of()), 3, "Cannot read " + log + ": it has no rows\n");
    assertFails(pairs("comparisons", List.of()), 3, "Cannot read comparisons: it has no rows\n");
  }

  @Test
  void aCorruptFileIsAFailure() throws Exception {
    Path text = Files.writeString(folder.resolve("text.parquet"), "this is not Parquet at all");
    assertFails(
        pairs(text.toString(), List.of()),
        1,
        "Cannot read " + text + ": not a readable Parquet file (");
  }

  @Test
  void aFileWhosePagesAreDamagedIsAFailure() throws Exception {
    String log =
        log(
            "SELECT 'p' || id AS prompt, 'x' || id AS response_a, 'y' AS response_b, 'a' AS choice"
                + " FROM range(5000)");
    Path file = dataFile(Path.of(log));
    byte[] bytes = Files.readAllBytes(file);
    // The footer stays whole, so only reading the rows finds the damage.
    byte[] noise = "damaged ".repeat(bytes.length / 16).getBytes(StandardCharsets.UTF_8);
    System.arraycopy(noise, 0, bytes, 4, noise.length);
    Path damaged = Files.write(folder.resolve("damaged.parquet"), bytes);
    assertFails(
        pairs(damaged.toString(), List.of()),
        1,
        "Cannot read " + damaged + ": not a readable Parquet file (");
  }

  @Test
  void aWarehouseThatIsNotWritableIsAFailure() throws Exception {
    String log = log("SELECT 'p' AS prompt, 'x' AS response_a, 'y' AS response_b, 'a' AS choice");
    Path file = Files.writeString(folder.resolve("file"), "");
    CommandLineRun run =
        CommandLineRun.of("pairs", "--input", log, "--warehouse", file + "/warehouse");
    assertThat(run.exitCode()).isEqualTo(1);
    assertThat(run.err())
        .startsWith("Cannot write to the warehouse " + file + "/warehouse: ")
        .hasLineCount(1);
  }

  @Test
  void anUnknownOptionShowsTheUsage() {
    CommandLineRun run = pairs("x.parquet", List.of("--colour", "red"));
    assertThat(run.exitCode()).isEqualTo(2);
    assertThat(run.err()).startsWith("Unknown options: '--colour', 'red'").contains("Usage: ");
    CommandLineRun nothing = CommandLineRun.of("pairs");
    assertThat(nothing.exitCode()).isEqualTo(2);
    assertThat(nothing.err()).startsWith("Missing required option: '--input=");
    assertThat(CommandLineRun.of().exitCode()).isEqualTo(2);
    assertThat(pairs("x.parquet", List.of("--split-shares", "0.9,0.9,0.1")).exitCode())
        .isEqualTo(2);
  }

  @Test
  void theHelpShowsDefaults() {
    CommandLineRun run = CommandLineRun.of("pairs", "--help");
    assertThat(run.exitCode()).isZero();
    assertThat(run.out())
        .contains("(default: 0.05)")
        .contains("(default: 0.8,0.1,0.1)")
        .doesNotContain("${");
  }

  @Test
  void everyCommandKnowsTheVersion() {
    for (String command : List.of("pairs", "sql")) {
      assertThat(CommandLineRun.of(command, "--version").out()).startsWith("spark-rlhf ");
    }
  }

  @Test
  void tooManyUnusableRowsAreAQualityErrorAndPublishNothing() {
    String log =
        log(
            "SELECT 'p' AS prompt, 'x' || id AS response_a, 'y' AS response_b,"
                + " IF(id < 3, 'left', 'a') AS choice, id AS feedback_id FROM range(10)");
    assertFails(
        pairs(log, List.of()),
        3,
        "Cannot use the feedback: 3 of 10 rows (30.0 %) would be quarantined, more than"
            + " --max-quarantine-share 0.05: unknown_choice 3 (row 0: 'left')\n");

    CommandLineRun allowed = pairs(log, List.of("--max-quarantine-share", "0.3"));
    assertThat(allowed.exitCode()).isZero();
    assertThat(allowed.out())
        .contains(
            "10 rows: 7 used, 3 in quarantine\n  unknown_choice: 3\n7 comparisons of 7 pairs\n");
  }

  private void assertFails(CommandLineRun run, int exitCode, String message) {
    assertThat(run.err()).startsWith(message).hasLineCount(1);
    assertThat(run.exitCode()).isEqualTo(exitCode);
    SparkSession spark = published();
    for (String table : List.of("runs", "comparisons", "pairs", "quarantine")) {
      assertThat(spark.table(table).count()).as(table).isZero();
    }
  }

  private CommandLineRun pairs(String input, List<String> options) {
    List<String> args = new ArrayList<>(List.of("pairs", "--input", input));
    args.addAll(List.of("--warehouse", warehouse()));
    args.addAll(options);
    return CommandLineRun.of(args.toArray(String[]::new));
  }

  private SparkSession published() {
    SparkSession spark = SparkTestSession.withWarehouse(Path.of(warehouse()));
    Tables.open(spark, "rlhf", "rlhf").registerViews();
    return spark;
  }

  private String warehouse() {
    return folder.resolve("warehouse").toString();
  }

  private String log(String query) {
    String path = folder.resolve("log.parquet").toString();
    SparkTestSession.get().sql(query).coalesce(1).write().mode("overwrite").parquet(path);
    return path;
  }

  private static Path dataFile(Path parquet) throws Exception {
    try (var files = Files.list(parquet)) {
      return files.filter(f -> f.toString().endsWith(".snappy.parquet")).findFirst().orElseThrow();
    }
  }
}
