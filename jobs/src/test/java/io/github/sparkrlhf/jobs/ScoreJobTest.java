package io.github.sparkrlhf.jobs;

import static org.apache.spark.sql.functions.lit;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.github.sparkrlhf.lm.LanguageModel;
import io.github.sparkrlhf.lm.TestTokenizers;
import io.github.sparkrlhf.lm.TransformerConfig;
import io.github.sparkrlhf.reward.TransformerRewardModel;
import io.github.sparkrlhf.spark.SparkTestSession;
import io.github.sparkrlhf.tables.Run;
import io.github.sparkrlhf.tables.Table;
import io.github.sparkrlhf.tables.Tables;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ScoreJobTest {
  @TempDir private static Path folder;

  @BeforeAll
  static void writesAModelAndResponses() {
    TransformerConfig config =
        TransformerConfig.llama(259, 16, 24, 2, 2, 32)
            .withHead(TransformerConfig.Head.SEQUENCE_CLASSIFICATION);
    LanguageModel model =
        new LanguageModel(config, config.layout().initialWeights(5), TestTokenizers.bytes());
    new TransformerRewardModel(model).save(folder.resolve("model"), Map.of());
    input(
        """
        SELECT 'Say ' || (id % 6) AS prompt, repeat('x', cast(id % 5 AS INT)) || id AS response,
          id AS number, array(id) AS more FROM range(30)
        UNION ALL SELECT 'Say 0', '0', 30, null
        UNION ALL SELECT 'alone', repeat('very long ', 9), 31, null""",
        "responses");
  }

  @Test
  void everyRowIsScoredInPartsAndAnInterruptedRunGoesOn() {
    String out = run("whole", score());
    assertThat(out)
        .contains("score 2/2: ", "32 rows scored by model (transformer)")
        .contains("1 rows are longer than the model reads: truncated");
    List<Row> whole = scores("whole");
    assertThat(whole).hasSize(32);
    assertThat(whole).extracting(row -> row.getInt(1)).contains(0, 1);

    Run run = begun("whole", "interrupted");
    SparkSession session = session("interrupted");
    Dataset<Row> first = table("whole", "scores").where("iteration = 0").drop("run_id");
    run.writeIteration(
        Table.SCORES,
        0,
        session
            .createDataFrame(first.collectAsList(), first.schema())
            .withColumn("score", lit(100.0)));
    assertThat(run("interrupted", score())).doesNotContain("score 1/2").contains("score 2/2");
    List<Row> resumed = scores("interrupted");
    assertThat(resumed).hasSize(32);
    for (int i = 0; i < whole.size(); i++) {
      boolean kept = whole.get(i).getInt(1) == 0;
      assertThat(resumed.get(i).getDouble(2)).isEqualTo(kept ? 100 : whole.get(i).getDouble(2));
    }
  }

  @Test
  void theOutputHasTheSameRowsWithAllColumnsAndTheScore() {
    run("output", score("--output", path("scored"), "--id", "number"));
    Dataset<Row> scored = SparkTestSession.get().read().parquet(path("scored"));
    assertThat(scored.columns()).containsExactly("prompt", "response", "number", "more", "score");
    List<Row> rows = scored.orderBy("number").collectAsList();
    assertThat(rows).hasSize(32);
    assertThat(rows.get(30).getDouble(4)).isEqualTo(rows.get(0).getDouble(4));
    List<Row> table =
        table("output", "scores")
            .selectExpr("cast(row_id AS INT)", "score")
            .orderBy("row_id")
            .collectAsList();
    for (Row row : table) {
      assertThat(rows.get(row.getInt(0)).getDouble(4)).isEqualTo(row.getDouble(1));
    }
    assertFails("other", 2, "Cannot write to " + path("scored"), score("--output", path("scored")));
  }

  @Test
  void theBestOfNAreSelectedAndTheCurveIsUnbiased() {
    String out = run("best", score("--best-of", "4", "--id", "number"));
    assertThat(out).contains("Best of 4: 6 prompts with as many responses");
    List<Row> curve = table("best", "best_of_n").orderBy("n").collectAsList();
    assertThat(curve).extracting(row -> row.<Integer>getAs("n")).containsExactly(1, 2, 3, 4);
    assertThat(curve.get(3).<Double>getAs("kl_bound")).isCloseTo(Math.log(4) - 0.75, within(1e-9));
    double mean =
        table("best", "scores")
            .where("prompt <> 'alone'")
            .groupBy("prompt")
            .avg("score")
            .selectExpr("avg(`avg(score)`)")
            .first()
            .getDouble(0);
    assertThat(curve.get(0).<Double>getAs("score")).isCloseTo(mean, within(1e-9));
    assertThat(curve.get(1).<Double>getAs("score")).isGreaterThan(mean);
    List<Row> selected = table("best", "selected").orderBy("prompt").collectAsList();
    assertThat(selected).hasSize(6);
    for (Row row : selected) {
      long better =
          table("best", "scores")
              .where(
                  "prompt = '%s' AND score > %s"
                      .formatted(row.getAs("prompt"), row.<Double>getAs("score")))
              .count();
      assertThat(better).as("at most the one response not drawn").isLessThanOrEqualTo(1);
    }
    String sft = "SELECT count(*) AS n FROM selected WHERE method = 'best-of-n'";
    assertThat(run("best", "sql", sft, "--format", "csv")).isEqualTo("n\n6\n");
  }

  @Test
  void rejectionSamplingKeepsTheBestOfEachPromptAndMoreAtAGreaterBeta() {
    run("strict", score("--rejection-sample", "1e-6", "--id", "number"));
    run("lax", score("--rejection-sample", "1e6", "--id", "number"));
    assertThat(table("lax", "selected").count()).isEqualTo(32);
    List<Row> strict = table("strict", "selected").collectAsList();
    assertThat(strict).extracting(row -> row.<String>getAs("prompt")).hasSizeBetween(7, 8);
    Map<String, Double> best = new java.util.TreeMap<>();
    table("strict", "scores")
        .groupBy("prompt")
        .agg(Map.of("score", "max"))
        .collectAsList()
        .forEach(row -> best.put(row.getString(0), row.getDouble(1)));
    for (Row row : strict) {
      assertThat(row.<Double>getAs("score")).isEqualTo(best.get(row.<String>getAs("prompt")));
    }
  }

  @Test
  void pairsFromScoresAreWhatRewardLearnsFrom() {
    run("pairs", score("--pairs-from-scores", "--run-id", "scored"));
    List<Row> pairs = table("pairs", "pairs").collectAsList();
    assertThat(pairs).hasSize(6);
    for (Row pair : pairs) {
      double margin = pair.getAs("margin");
      assertThat(margin).isPositive();
      assertThat(pair.<Double>getAs("probability"))
          .isCloseTo(1 / (1 + Math.exp(-margin)), within(1e-12));
    }
    String out = run("pairs", "reward", "--pairs-run", "scored", "--output", path("fitted"));
    assertThat(out).contains("Model in " + path("fitted"));
  }

  @Test
  void textsMadeWithAnotherChatTemplateAreRefusedUnlessTold() {
    input("SELECT 'p' AS prompt, 'r' AS response, '[INST]' AS chat_template", "foreign");
    input(
        "SELECT 'p' AS prompt, 'r' AS response, cast(null AS STRING) AS chat_template",
        "undeclared");
    String[] foreign = score("--input", path("foreign"));
    assertFails(
        "template",
        2,
        "1 rows were made with another chat template than the model's, such as '[INST]'",
        foreign);
    assertThat(run("template", concat(foreign, "--allow-other-template")))
        .contains("1 rows scored");
    assertThat(run("template", score("--input", path("undeclared")))).contains("1 rows scored");
  }

  @Test
  void optionsThatSayNothingAreRefused() {
    assertFails("no", 2, "Cannot use --seed: ", score("--seed", "1"));
    assertFails(
        "no",
        2,
        "Cannot use --rejection-sample: ",
        score("--best-of", "2", "--rejection-sample", "1"));
    assertFails("no", 2, "Cannot use --best-of 0", score("--best-of", "0"));
    assertFails("no", 2, "Cannot use --part 0", score("--part", "0"));
    input("SELECT 'p' AS prompt, cast(null AS STRING) AS response", "missing");
    assertFails("no", 3, "1 rows have no prompt or no response", score("--input", path("missing")));
  }

  private static void input(String sql, String name) {
    SparkTestSession.get().sql(sql).write().mode("overwrite").parquet(path(name));
  }

  private Run begun(String warehouse, String other) {
    Row run = Tables.open(session(warehouse), "rlhf", "rlhf").completeRuns().get(0);
    Tables tables = Tables.open(session(other), "rlhf", "rlhf");
    tables.registerViews();
    return tables.begin("score", run.<String>getAs("run_id"), run.getAs("configuration"));
  }

  private static String[] score(String... more) {
    String[] options = {"score", "--input", path("responses"), "--model", path("model")};
    return concat(concat(options, "--part", "16"), more);
  }

  private static String[] concat(String[] first, String... second) {
    return Stream.concat(Arrays.stream(first), Arrays.stream(second)).toArray(String[]::new);
  }

  private static String run(String warehouse, String... command) {
    CommandLineRun run = CommandLineRun.of(concat(command, "--warehouse", path(warehouse)));
    assertThat(run.err()).isEmpty();
    assertThat(run.exitCode()).isZero();
    return run.out();
  }

  private static void assertFails(
      String warehouse, int exitCode, String message, String... command) {
    CommandLineRun run = CommandLineRun.of(concat(command, "--warehouse", path(warehouse)));
    assertThat(run.err()).contains(message);
    assertThat(run.exitCode()).isEqualTo(exitCode);
  }

  private List<Row> scores(String warehouse) {
    return table(warehouse, "scores")
        .select("row_id", "iteration", "score")
        .orderBy("row_id")
        .collectAsList();
  }

  private Dataset<Row> table(String warehouse, String name) {
    SparkSession session = session(warehouse);
    Tables.open(session, "rlhf", "rlhf").registerViews();
    return session.table(name);
  }

  private SparkSession session(String warehouse) {
    return SparkTestSession.withWarehouse(folder.resolve(warehouse));
  }

  private static String path(String name) {
    return folder.resolve(name).toString();
  }
}
