package io.github.sparkrlhf.jobs;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.github.sparkrlhf.lm.LanguageModel;
import io.github.sparkrlhf.lm.TestTokenizers;
import io.github.sparkrlhf.lm.TransformerConfig;
import io.github.sparkrlhf.spark.SparkTestSession;
import io.github.sparkrlhf.tables.Run;
import io.github.sparkrlhf.tables.Table;
import io.github.sparkrlhf.tables.Tables;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.io.TempDir;

@TestInstance(TestInstance.Lifecycle.PER_CLASS)
class EvaluateJobTest {
  private static final TransformerConfig CONFIG = TransformerConfig.llama(259, 16, 24, 2, 2, 64);

  private Path folder;
  private SparkSession spark;

  @BeforeAll
  void evaluates(@TempDir Path shared) {
    folder = shared;
    LanguageModel policy =
        new LanguageModel(CONFIG, CONFIG.layout().initialWeights(5), TestTokenizers.bytes());
    policy.save(folder.resolve("policy"), Map.of());
    policy
        .withHead(TransformerConfig.Head.SEQUENCE_CLASSIFICATION, 3)
        .save(folder.resolve("reward"), Map.of());
    SparkTestSession.get()
        .sql(
            "SELECT 'p' || id AS prompt_id, 'Say ' || id AS prompt, 'No ' || id AS answer, if(id %"
                + " 2 = 0, 'even', 'odd') AS topic FROM range(24)")
        .coalesce(1)
        .write()
        .parquet(path("prompts"));
    rollout("free", "1.0");
    rollout("sharp", "0.5");
    votes();
    run("warehouse", evaluate());
    spark = SparkTestSession.withWarehouse(folder.resolve("warehouse"));
    Tables.open(spark, "rlhf", "rlhf").registerViews();
  }

  private void rollout(String run, String temperature) {
    run(
        "sampled",
        "rollout",
        "--prompts",
        path("prompts"),
        "--prompt-id",
        "prompt_id",
        "--policy",
        path("policy"),
        "--max-new-tokens",
        "6",
        "--temperature",
        temperature,
        "--run-id",
        run);
  }

  /**
   * People prefer whatever is sharp. A session does not see at once what another one writes: the
   * rollouts are copied to a warehouse that no job has opened.
   */
  private void votes() {
    SparkSession sampled = SparkTestSession.withWarehouse(folder.resolve("sampled"));
    Tables from = Tables.open(sampled, "rlhf", "rlhf");
    spark = SparkTestSession.withWarehouse(folder.resolve("warehouse"));
    Tables to = Tables.open(spark, "rlhf", "rlhf");
    for (String id : List.of("free", "sharp")) {
      Dataset<Row> rows = from.rows(Table.ROLLOUTS, id);
      Run run = to.begin("rollout", id, from.configurationOf(id).orElseThrow());
      run.write(Table.ROLLOUTS, spark.createDataFrame(rows.collectAsList(), rows.schema()));
      run.complete(Map.of());
    }
    Run run = to.begin("pairs", "votes", "{}");
    SampleTables.write(
        run,
        Table.PAIRS,
        spark.sql(
            "SELECT a.prompt, b.response AS chosen, a.response AS rejected, true AS decided FROM"
                + " rollouts a JOIN rollouts b USING (prompt) WHERE a.run_id = 'free' AND b.run_id"
                + " = 'sharp' AND a.response <> b.response"));
    run.complete(Map.of());
  }

  private String[] evaluate(String... more) {
    return Stream.concat(
            Stream.of(
                "evaluate",
                "--candidate",
                "free=free",
                "--candidate",
                "sharp=sharp",
                "--reward",
                path("reward"),
                "--reference-policy",
                path("policy"),
                "--prompts",
                path("prompts"),
                "--reference",
                "answer",
                "--slice",
                "topic=topic",
                "--pairs-run",
                "votes"),
            Stream.of(more))
        .toArray(String[]::new);
  }

  @Test
  void measuresPoliciesAloneAndAgainstOthers() {
    assertThat(metrics("candidate = 'free' AND opponent IS NULL AND slice = 'all'"))
        .contains(
            "reward",
            "kl_to_reference",
            "reference_perplexity",
            "perplexity_of_references",
            "bleu",
            "rouge_l",
            "distinct_2",
            "self_bleu",
            "repetition",
            "truncated_share");
    assertThat(metrics("candidate = 'sharp' AND opponent = 'free' AND slice = 'all'"))
        .contains("win_rate", "length_controlled_win_rate", "human_win_rate");
    assertThat(metrics("candidate = 'free' AND opponent = 'reference' AND slice = 'all'"))
        .contains("win_rate");
    assertThat(metrics("candidate = 'free' AND opponent = 'sharp'")).isEmpty();
    assertThat(value("sharp", "human_win_rate")).isEqualTo(1);
  }

  @Test
  void thePolicyIsNoDistanceFromItself() {
    // Once from what the sampler wrote, once, at another temperature, from the weights.
    assertThat(value("free", "kl_to_reference")).isEqualTo(0, within(1e-4));
    assertThat(value("sharp", "kl_to_reference")).isEqualTo(0, within(1e-9));
  }

  @Test
  void slicesAreThoseWithEnoughPrompts() {
    assertThat(
            spark
                .sql(
                    "SELECT DISTINCT slice, slice_value, n FROM evaluations WHERE metric = 'reward'"
                        + " ORDER BY slice, slice_value")
                .collectAsList())
        .extracting(Row::toString)
        .containsExactly(
            "[all,all,24]", "[prompt_length,1 to 7 words,24]", "[topic,even,12]", "[topic,odd,12]");
    assertThat(spark.sql("SELECT DISTINCT prompts FROM evaluations").count()).isEqualTo(1);
  }

  @Test
  void whatCannotBeEvaluatedIsSaid() {
    assertFails(
        "Cannot use --candidate free: it must be NAME=RUN with a name that no other has",
        "evaluate",
        "--candidate",
        "free");
    assertFails(
        "Cannot read table 'rollouts': run 'nothing' is not complete",
        "evaluate",
        "--candidate",
        "a=nothing");
    assertFails(
        "Cannot use --slice: only --prompts has columns",
        "evaluate",
        "--candidate",
        "a=free",
        "--slice",
        "x=y");
  }

  private double value(String candidate, String metric) {
    return spark
        .sql(
            "SELECT value FROM evaluations WHERE slice = 'all' AND candidate = '"
                + candidate
                + "' AND metric = '"
                + metric
                + "'")
        .first()
        .getDouble(0);
  }

  private List<String> metrics(String condition) {
    return spark.sql("SELECT metric FROM evaluations WHERE " + condition).collectAsList().stream()
        .map(row -> row.getString(0))
        .toList();
  }

  private void assertFails(String message, String... command) {
    CommandLineRun run =
        CommandLineRun.of(
            Stream.concat(Stream.of(command), Stream.of("--warehouse", path("warehouse")))
                .toArray(String[]::new));
    assertThat(run.err()).startsWith(message);
    assertThat(run.exitCode()).isEqualTo(2);
  }

  private void run(String warehouse, String... command) {
    CommandLineRun.step(folder.resolve(warehouse), command);
  }

  private String path(String name) {
    return folder.resolve(name).toString();
  }
}
