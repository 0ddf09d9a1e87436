package io.github.sparkrlhf.jobs;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.sparkrlhf.spark.SparkTestSession;
import io.github.sparkrlhf.tables.Tables;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.StructType;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Four topics in which the polite answer wins, and labels that say the same or the opposite. */
class CrossvalidateJobTest {
  private static final StructType VOTES =
      StructType.fromDDL(
          "vote_id STRING, prompt STRING, response_a STRING, response_b STRING, choice STRING,"
              + " annotator_id STRING, gold STRING");

  @TempDir private Path folder;

  @Test
  void measuresCandidatesOnTopicsThatTheyHaveNotSeen() {
    SparkSession spark = SparkTestSession.get();
    String votes = path("votes.parquet");
    spark.createDataFrame(votes(), VOTES).coalesce(1).write().parquet(votes);
    step("pairs", "--input", votes, "--id", "vote_id", "--near-duplicates", "0");
    step(
        "crossvalidate",
        "--run-id",
        "own",
        "--fold-by",
        "prompt",
        "--folds",
        "each",
        "--candidate",
        "words=--features words:1-1 --regularization 1e-3",
        "--candidate",
        "majority = --features words:1-1 --labels majority --weigh-pairs");
    step(
        "crossvalidate",
        "--run-id",
        "gold",
        "--folds",
        "2",
        "--test-labels",
        votes,
        "--test-filter",
        "gold IS NOT NULL",
        "--test-response-a",
        "upper(response_b)",
        "--test-response-b",
        "upper(response_a)",
        "--test-prompt",
        "prompt",
        "--test-choice",
        "gold",
        "--candidate",
        "words=--features words:1-1");

    SparkSession session = SparkTestSession.withWarehouse(folder.resolve("warehouse"));
    Tables.open(session, "rlhf", "rlhf").registerViews();
    List<Row> own =
        session
            .sql(
                "SELECT candidate, value, n FROM reward_folds WHERE run_id = 'own' AND fold IS NULL"
                    + " AND metric = 'accuracy' ORDER BY candidate")
            .collectAsList();
    assertThat(own)
        .containsExactly(
            RowFactory.create("always-longer", 0.5, 24L),
            RowFactory.create("always-shorter", 0.5, 24L),
            RowFactory.create("majority", 1.0, 24L),
            RowFactory.create("words", 1.0, 24L));
    assertThat(
            session
                .sql(
                    "SELECT DISTINCT fold FROM reward_folds WHERE run_id = 'own' AND fold IS NOT NULL")
                .count())
        .isEqualTo(4);
  }

  /** In each topic six pairs; the polite answer is longer in half of them. */
  private static List<Row> votes() {
    List<Row> rows = new ArrayList<>();
    for (String topic : List.of("tea", "rain", "chess", "maps")) {
      for (int pair = 0; pair < 6; pair++) {
        String polite = "thanks " + topic + " n" + pair + (pair % 2 == 0 ? " and and and" : "");
        String rude = "silly " + topic + " m" + pair + (pair % 2 == 0 ? "" : " and and and");
        for (int vote = 0; vote < 3; vote++) {
          boolean first = vote % 2 == 0;
          rows.add(
              RowFactory.create(
                  topic + pair + vote,
                  "About " + topic,
                  first ? polite : rude,
                  first ? rude : polite,
                  first ? "a" : "b",
                  "w" + vote,
                  pair == 0 ? null : first ? "a" : "b"));
        }
      }
    }
    return rows;
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "--candidate words | Cannot use --candidate 'words': it must be NAME=OPTIONS",
        "--candidate a=--kind=oracle | Cannot compare candidate 'a': Invalid value for option '--ki",
        "--candidate a=--trees=9 | Cannot use --trees: it is no option of --kind bradley-terry",
        "--candidate a=--features=smell | Cannot use features 'smell': none of [style, readability",
        "--candidate a= --candidate a= | Cannot compare two candidates named 'a'",
        "--candidate a= --folds 1 | Cannot use --folds 1: it must be each, or a number between 2",
        "--candidate a= --folds all | Cannot use --folds all: it must be each, or a number betwe",
        "--candidate a= --test-choice gold | Cannot use --test-choice: it is about --test-labels",
        "--candidate a= --parallel-folds 0 | Cannot use --parallel-folds 0: it must be at least 1"
      })
  void refusesWhatItCannotDo(String options, String message) {
    List<String> command = new ArrayList<>(List.of("crossvalidate"));
    command.addAll(Arrays.asList(options.split(" ")));
    command.addAll(List.of("--warehouse", folder.resolve("none").toString()));

    CommandLineRun run = CommandLineRun.of(command.toArray(String[]::new));

    assertThat(run.exitCode()).isEqualTo(2);
    assertThat(run.err()).contains(message);
  }

  private void step(String... command) {
    CommandLineRun.step(folder.resolve("warehouse"), command);
  }

  private String path(String name) {
    return folder.resolve(name).toString();
  }
}
