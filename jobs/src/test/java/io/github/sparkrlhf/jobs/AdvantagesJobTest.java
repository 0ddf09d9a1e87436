package io.github.sparkrlhf.jobs;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.github.sparkrlhf.lm.LanguageModel;
import io.github.sparkrlhf.lm.TestTokenizers;
import io.github.sparkrlhf.lm.TransformerConfig;
import io.github.sparkrlhf.ppo.Advantages;
import io.github.sparkrlhf.reward.TransformerRewardModel;
import io.github.sparkrlhf.spark.SparkTestSession;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What {@code advantages} makes of responses from elsewhere, and what it refuses. */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
class AdvantagesJobTest {
  private static final TransformerConfig CONFIG = TransformerConfig.llama(259, 16, 24, 1, 2, 64);

  private Path folder;

  @BeforeAll
  void writesModelsAndResponses(@TempDir Path shared) {
    folder = shared;
    new LanguageModel(CONFIG, CONFIG.layout().initialWeights(5), TestTokenizers.bytes())
        .save(folder.resolve("reference"), Map.of());
    TransformerConfig scalar = CONFIG.withHead(TransformerConfig.Head.SEQUENCE_CLASSIFICATION);
    new TransformerRewardModel(
            new LanguageModel(scalar, scalar.layout().initialWeights(6), TestTokenizers.bytes()))
        .save(folder.resolve("reward"), Map.of());
    // Four responses to each of ten prompts, one to the eleventh.
    SparkTestSession.get()
        .sql(
            """
            SELECT 'r' || id AS id, 'Say ' || cast(id / 4 AS INT) AS prompt,
              'word ' || repeat('and ', cast(id % 3 AS INT)) || id AS response,
              -3D * id AS sampled, transform(sequence(1, length('word ' || id) + 1), i -> -0.5F) AS each,
              'x' AS text
            FROM range(41)""")
        .coalesce(1)
        .write()
        .parquet(path("responses"));
  }

  @Test
  void whatPeopleSaidOfAResponseIsItsReward() {
    String people =
        "CASE cast(substring(id, 2) AS INT) % 3 WHEN 0 THEN 1 WHEN 1 THEN 0 ELSE -1 END";
    CommandLineRun run =
        CommandLineRun.of(
            withInput("--score", people, "--run-id", "people", "--pairs-from-scores"));
    assertThat(run.exitCode()).as(run.err()).isZero();
    List<Row> rows = rows("people");
    assertThat(rows).hasSize(41);
    assertThat(rows).extracting(row -> row.<Double>getAs("score")).containsOnly(1.0, 0.0, -1.0);
    double[] scores =
        rows.subList(0, 4).stream().mapToDouble(row -> row.<Double>getAs("score")).toArray();
    List<Float> advantages = rows.get(0).getList(rows.get(0).fieldIndex("advantages"));
    assertThat(advantages).containsOnly((float) Advantages.rloo(scores, 4)[0]);
    assertThat(run.out()).contains("10 pairs");

    CommandLineRun text = CommandLineRun.of(withInput("--score", "text"));
    assertThat(text.exitCode()).isEqualTo(2);
    assertThat(text.err()).contains("Cannot use --score 'text': it is of type STRING");
    CommandLineRun missing = CommandLineRun.of(withInput("--score", "nullif(sampled, -3D)"));
    assertThat(missing.exitCode()).isEqualTo(3);
    assertThat(missing.err()).contains("is no finite number for 1 of them");
    CommandLineRun both = CommandLineRun.of(withInput("--score", "1", "--model", path("reward")));
    assertThat(both.exitCode()).isEqualTo(2);
  }

  private String[] withInput(String... options) {
    List<String> arguments =
        new ArrayList<>(
            List.of(
                "advantages",
                "--input",
                path("responses"),
                "--id",
                "id",
                "--reference",
                path("reference"),
                "--warehouse",
                path("warehouse")));
    arguments.addAll(Arrays.asList(options));
    return arguments.toArray(String[]::new);
  }

  @Test
  void responsesToAPromptAreComparedAndThoseThatPassTheFilterGoOut() {
    CommandLineRun run =
        run(
            "--run-id",
            "whole",
            "--policy",
            path("reference"),
            "--filter",
            "group_size > 1 AND group_deviation > 0 AND tokens < 60",
            "--part",
            "15",
            "--best-of",
            "4",
            "--pairs-from-scores",
            "--output",
            path("batches"));
    assertThat(run.exitCode()).as(run.err()).isZero();
    assertThat(run.out())
        .contains("advantages 3/3: ", "40 of 41 responses kept, to 10 prompts: mean score ")
        .contains("KL 0.000 nats; 0 without another response", "Best of 4: 10 prompts", "10 pairs");
    List<Row> rows = rows("whole");
    assertThat(rows).hasSize(40);
    for (int first = 0; first < 40; first += 4) {
      double[] scores = new double[4];
      for (int i = 0; i < 4; i++) {
        scores[i] = rows.get(first + i).<Double>getAs("score");
        assertThat(rows.get(first + i).<Integer>getAs("sample")).isEqualTo(i);
      }
      double[] expected = Advantages.rloo(scores, 4);
      for (int i = 0; i < 4; i++) {
        Row row = rows.get(first + i);
        List<Float> advantages = row.getList(row.fieldIndex("advantages"));
        assertThat(advantages)
            .hasSameSizeAs(row.getList(row.fieldIndex("response_tokens")))
            .containsOnly((float) expected[i]);
        assertThat(row.<Double>getAs("kl")).as("policy and reference are the same").isZero();
        assertThat(row.<Boolean>getAs("stopped")).isTrue();
      }
    }
    assertThat(SparkTestSession.get().read().parquet(path("batches")).columns())
        .contains("group_id", "prompt_tokens", "response_tokens", "ref_logprobs", "advantage");
    assertThat(SparkTestSession.get().read().parquet(path("batches")).count()).isEqualTo(40);
    assertThat(tables().sql("SELECT * FROM rlhf.rlhf.pairs").count()).isEqualTo(10);
    assertThat(tables().sql("SELECT * FROM rlhf.rlhf.selected").count()).isEqualTo(10);
  }

  @Test
  void whatTheSamplerSaysIsTakenForItsLogProbabilityAndTheKlCosts() {
    CommandLineRun run =
        run(
            "--run-id",
            "given",
            "--logprobs",
            "sampled",
            "--kl-coefficient",
            "0.5",
            "--advantages",
            "dr-grpo");
    assertThat(run.exitCode()).as(run.err()).isZero();
    assertThat(run.out()).contains("1 without another response to their prompt");
    List<Row> rows = rows("given");
    assertThat(rows).hasSize(41);
    double[] rewards = new double[4];
    for (int i = 0; i < 4; i++) {
      Row row = rows.get(i);
      double reference = 0;
      for (float value : row.<Float>getList(row.fieldIndex("ref_logprobs"))) {
        reference += value;
      }
      int number = Integer.parseInt(row.<String>getAs("rollout_id").substring(1));
      assertThat(row.<Double>getAs("kl")).isEqualTo(-3.0 * number - reference);
      assertThat((Object) row.getAs("logprobs")).isNull();
      rewards[i] = row.<Double>getAs("score") - 0.5 * row.<Double>getAs("kl");
    }
    Row first = rows.get(0);
    double mean = Arrays.stream(rewards).average().orElseThrow();
    assertThat((double) first.<Float>getList(first.fieldIndex("advantages")).get(0))
        .isCloseTo(rewards[0] - mean, within(1e-3));
  }

  @Test
  void numbersOfTokensAreKeptWhereTheyAreAsManyAsTheTokens() {
    CommandLineRun run = run("--run-id", "each", "--logprobs", "each");
    assertThat(run.exitCode()).as(run.err()).isZero();
    List<Row> rows = rows("each");
    // A byte is a token, the end is one; every third response has no more words than counted here.
    for (Row row : rows) {
      int number = Integer.parseInt(row.<String>getAs("rollout_id").substring(1));
      assertThat(row.getAs("sampler_logprobs") != null).isEqualTo(number % 3 == 0);
    }
    assertThat(rows).allMatch(row -> row.getAs("kl") != null);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "2 | --kl-coefficient 0.1 | Cannot use --kl-coefficient: there is no KL without --logprobs",
        "2 | --lanes 3 | Cannot use --lanes 3: it must be a power of two",
        "2 | --logprobs text | --logprobs 'text': it is of type STRING and must be a number or an array",
        "2 | --filter missing>1 | Cannot evaluate --filter 'missing>1'",
        "2 | --filter tokens | Cannot use --filter 'tokens': it is of type INT and must be a condition",
        "2 | --reference reward | it is no language model",
        "3 | --id text | Cannot compare responses: id x is null or occurs more than once",
        "3 | --filter false | Cannot compare responses: none of 41 is kept"
      })
  void whatCannotBeComparedIsSaid(int exitCode, String options, String message) {
    String[] given = options.split(" ", -1);
    if (given[0].equals("--reference")) {
      given[1] = path(given[1]);
    }
    CommandLineRun run = run(given);
    assertThat(run.exitCode()).as(run.err()).isEqualTo(exitCode);
    assertThat(run.err()).startsWith("Cannot ").contains(message).doesNotContain("\tat ");
  }

  private CommandLineRun run(String... more) {
    List<String> command = new ArrayList<>(List.of("advantages", "--input", path("responses")));
    command.addAll(List.of("--model", path("reward"), "--warehouse", path("warehouse")));
    List<String> given = Arrays.asList(more);
    if (!given.contains("--reference")) {
      command.addAll(List.of("--reference", path("reference")));
    }
    if (!given.contains("--id")) {
      command.addAll(List.of("--id", "id"));
    }
    command.addAll(given);
    return CommandLineRun.of(command.toArray(String[]::new));
  }

  private List<Row> rows(String run) {
    return tables()
        .sql(
            "SELECT * FROM rlhf.rlhf.rollouts WHERE run_id = '%s' ORDER BY prompt, rollout_id"
                .formatted(run))
        .collectAsList();
  }

  private SparkSession tables() {
    return SparkTestSession.withWarehouse(folder.resolve("warehouse"));
  }

  private String path(String name) {
    return folder.resolve(name).toString();
  }
}
