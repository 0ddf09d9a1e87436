package io.github.sparkrlhf.jobs;

import static org.apache.spark.sql.functions.lit;
import static org.assertj.core.api.Assertions.assertThat;

import io.github.sparkrlhf.lm.LanguageModel;
import io.github.sparkrlhf.lm.TestTokenizers;
import io.github.sparkrlhf.lm.TransformerConfig;
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
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class RolloutJobTest {
  private static final TransformerConfig CONFIG = TransformerConfig.llama(259, 16, 24, 2, 2, 64);

  @TempDir private Path folder;

  @BeforeEach
  void writesAModelAndPrompts() {
    new LanguageModel(CONFIG, CONFIG.layout().initialWeights(5), TestTokenizers.bytes())
        .save(folder.resolve("policy"), Map.of());
    prompts("SELECT 'p' || id AS prompt_id, 'Say ' || id AS prompt FROM range(20)", "prompts");
  }

  @Test
  void everyPromptIsAnsweredInPartsAndAnInterruptedRunGoesOn() {
    String out = run("whole", options());
    assertThat(out).contains("40 responses to 20 prompts").contains("rollout 3/3");
    List<Row> whole = responses("whole");
    assertThat(whole).hasSize(40);
    assertThat(whole).extracting(row -> row.getInt(2)).contains(0, 1, 2);

    begun("whole", "interrupted", "same")
        .writeIteration(
            Table.ROLLOUTS,
            0,
            firstPart("whole", "interrupted").withColumn("response", lit("as it was")));

    assertThat(run("interrupted", options())).doesNotContain("rollout 1/3");
    List<Row> resumed = responses("interrupted");
    assertThat(resumed).hasSize(40);
    for (int i = 0; i < 40; i++) {
      boolean kept = whole.get(i).getInt(2) == 0;
      assertThat(resumed.get(i).getString(1))
          .isEqualTo(kept ? "as it was" : whole.get(i).getString(1));
    }
  }

  @Test
  void whatAnotherConfigurationLeftUnderTheSameIdIsReplaced() {
    run("whole", options());
    begun("whole", "other", "{}").writeIteration(Table.ROLLOUTS, 0, firstPart("whole", "other"));

    assertThat(run("other", options())).contains("rollout 1/3");
    assertThat(responses("other")).isEqualTo(responses("whole"));
  }

  @Test
  void theMostProbableTokenIsAllThatTopOneLeaves() {
    run("greedy", options("--temperature", "0"));
    run("top", options("--top-k", "1"));
    assertThat(texts("top")).isEqualTo(texts("greedy"));
    run("free", options());
    assertThat(texts("free")).isNotEqualTo(texts("greedy"));
  }

  @Test
  void aPartThatGetsNoPromptIsPassedOver() {
    prompts("SELECT 'p' || id AS prompt_id, 'Say ' || id AS prompt FROM range(12)", "dozen");
    String out = run("few", options("--prompts", path("dozen"), "--part", "1"));
    assertThat(out).contains("24 responses to 12 prompts");
    assertThat(responses("few").stream().map(row -> row.getInt(2)).distinct().count())
        .as("parts with prompts, of 12")
        .isLessThan(12);
  }

  @Test
  void whatCannotBeSampledIsSaid() {
    assertFails(2, "Cannot sample: top-p 0.0 is not in (0, 1]", options("--top-p", "0"));
    assertFails(
        2,
        "Cannot sample: prompt p2 has 7 tokens; with --max-new-tokens 60 the policy has room for 4",
        options("--max-new-tokens", "60"));
    prompts("SELECT 'p' AS prompt_id, 'Say ' || id AS prompt FROM range(2)", "twice");
    assertFails(
        3,
        "Cannot sample: prompt p is null or its id occurs more than once",
        options("--prompts", path("twice")));
  }

  private void prompts(String query, String name) {
    SparkTestSession.get().sql(query).coalesce(1).write().parquet(path(name));
  }

  /** The rows of part 0 in the session of another warehouse. */
  private Dataset<Row> firstPart(String warehouse, String other) {
    Dataset<Row> rows = rollouts(warehouse).where("iteration = 0").drop("run_id");
    return session(other).createDataFrame(rows.collectAsList(), rows.schema());
  }

  /** A run in another warehouse under the id of the one in this. */
  private Run begun(String warehouse, String other, String configuration) {
    Row run = tables(warehouse).completeRuns().get(0);
    String same = run.getAs("configuration");
    return tables(other)
        .begin(
            "rollout",
            run.<String>getAs("run_id"),
            configuration.equals("same") ? same : configuration);
  }

  private String[] options(String... more) {
    Stream<String> options =
        Stream.of(
            "rollout",
            "--prompts",
            path("prompts"),
            "--prompt-id",
            "prompt_id",
            "--policy",
            path("policy"),
            "--samples-per-prompt",
            "2",
            "--max-new-tokens",
            "6",
            "--part",
            "8");
    return Stream.concat(options, Arrays.stream(more)).toArray(String[]::new);
  }

  private String run(String warehouse, String... command) {
    CommandLineRun run = CommandLineRun.of(in(warehouse, command));
    assertThat(run.err()).isEmpty();
    assertThat(run.exitCode()).isZero();
    return run.out();
  }

  private void assertFails(int exitCode, String message, String... command) {
    CommandLineRun run = CommandLineRun.of(in("failing", command));
    assertThat(run.err()).startsWith(message);
    assertThat(run.exitCode()).isEqualTo(exitCode);
  }

  private String[] in(String warehouse, String... command) {
    return Stream.concat(Arrays.stream(command), Stream.of("--warehouse", path(warehouse)))
        .toArray(String[]::new);
  }

  private List<Row> responses(String warehouse) {
    return rollouts(warehouse)
        .select("rollout_id", "response", "iteration", "sampler_logprobs")
        .orderBy("rollout_id")
        .collectAsList();
  }

  private List<String> texts(String warehouse) {
    return responses(warehouse).stream().map(row -> row.getString(1)).toList();
  }

  private Dataset<Row> rollouts(String warehouse) {
    SparkSession session = session(warehouse);
    Tables.open(session, "rlhf", "rlhf").registerViews();
    return session.table("rollouts");
  }

  private SparkSession session(String warehouse) {
    return SparkTestSession.withWarehouse(folder.resolve(warehouse));
  }

  private Tables tables(String warehouse) {
    Tables tables = Tables.open(session(warehouse), "rlhf", "rlhf");
    tables.registerViews();
    return tables;
  }

  private String path(String name) {
    return folder.resolve(name).toString();
  }
}
