package io.github.sparkrlhf.jobs;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.sparkrlhf.lm.LanguageModel;
import io.github.sparkrlhf.lm.TestTokenizers;
import io.github.sparkrlhf.lm.TransformerConfig;
import io.github.sparkrlhf.spark.SparkTestSession;
import io.github.sparkrlhf.tables.Run;
import io.github.sparkrlhf.tables.Table;
import io.github.sparkrlhf.tables.Tables;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What {@code dpo} learns and writes, that a killed run ends the same, and what it refuses. */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
class DpoJobTest {
  private static final TransformerConfig CONFIG = TransformerConfig.llama(259, 16, 24, 1, 2, 64);
  private static final String SPLIT =
      "CASE WHEN id % 6 = 0 THEN 'validation' WHEN id % 6 = 1 THEN 'test' ELSE 'train' END";

  private Path folder;

  @BeforeAll
  void writesAPolicyAndPairs(@TempDir Path shared) {
    folder = shared;
    LanguageModel model =
        new LanguageModel(CONFIG, CONFIG.layout().initialWeights(5), TestTokenizers.bytes());
    model.save(folder.resolve("policy"), Map.of());
    model
        .withHead(TransformerConfig.Head.SEQUENCE_CLASSIFICATION, 1)
        .save(folder.resolve("classifier"), Map.of());
    pairs("yes-and-no", SPLIT);
    pairs("train-only", "'train'");
    pairs("test-only", "'test'");
  }

  @Test
  void thePolicyPrefersWhatPeoplePreferAndOtherJobsReadIt() throws IOException {
    CommandLineRun run =
        run(dpo("learned", "--run-id", "learned", "--epochs", "6", "--label-smoothing", "0.05"));
    assertThat(run.exitCode()).as(run.err()).isZero();
    assertThat(run.out())
        .contains("Each round sends ", "64 pairs, 48 steps", "dpo 48/48: ")
        .contains("dpo: epoch 0, step 0: on held-out pairs loss 0.6931, accuracy 0.0000, margin of")
        .contains("On the split test: loss ");
    // Before any step the policy is the reference.
    assertThat(metric("learned", "rewards/chosen", 1)).isZero();
    assertThat(metric("learned", "rewards/margins", 1)).isZero();
    assertThat(metric("learned", "loss", 1)).isBetween(0.6931, 0.6932);
    assertThat(metric("learned", "rewards/margins", 48)).isGreaterThan(0.5);
    for (String split : List.of("validation_", "test_")) {
      assertThat(metric("learned", split + "rewards/accuracies", 48)).isGreaterThan(0.9);
      assertThat(metric("learned", split + "loss", 48)).isLessThan(0.6);
    }
    assertThat(Files.readString(folder.resolve("learned/rlhf.json")))
        .contains("\"job\" : \"dpo\"", "\"parent\" : \"" + path("policy"))
        .contains("pairs of run yes-and-no", "\"test/rewards/accuracies\"");
    SparkTestSession.get()
        .sql("SELECT 'p' || id AS prompt_id, 'Question ' || id || '?' AS prompt FROM range(3)")
        .write()
        .parquet(path("prompts"));
    CommandLineRun rollout =
        run(
            "rollout",
            "--prompts",
            path("prompts"),
            "--policy",
            path("learned"),
            "--max-new-tokens",
            "4");
    assertThat(rollout.exitCode()).as(rollout.err()).isZero();
    assertThat(
            run(dpo("learned", "--run-id", "learned", "--epochs", "6", "--label-smoothing", "0.05"))
                .out())
        .endsWith("is already complete: nothing to do\n");
  }

  @ParameterizedTest
  @ValueSource(strings = {"dpo 5/", "dpo: epoch 1", "Policy in "})
  void aRunThatIsKilledAndStartedAgainWritesTheSameBytes(String line) {
    String[] options = {"--loss", "ipo", "--epochs", "2", "--checkpoint-every", "3"};
    CommandLineRun whole = run(dpo("whole", with(options, "--run-id", "whole")));
    assertThat(whole.exitCode()).as(whole.err()).isZero();
    String name = "killed-at-" + line.replaceAll("\\W", "");
    String[] command = dpo(name, with(options, "--run-id", name));
    ByteArrayOutputStream err = new ByteArrayOutputStream();
    int killed =
        Main.run(
            stoppingAt(line),
            new PrintStream(err, true, StandardCharsets.UTF_8),
            withWarehouse(command));
    assertThat(killed).isEqualTo(1);
    assertThat(err.toString(StandardCharsets.UTF_8)).contains("pulled the plug");

    CommandLineRun again = run(command);
    assertThat(again.exitCode()).as(again.err()).isZero();
    assertThat(folder.resolve(name + "/model.safetensors"))
        .hasSameBinaryContentAs(folder.resolve("whole/model.safetensors"));
    assertThat(metrics(name)).isEqualTo(metrics("whole")).hasSizeGreaterThan(100);
  }

  @Test
  void adaptersLearnAgainstTheirBaseAndLanesMayStepAlone() {
    CommandLineRun run =
        run(
            dpo(
                "adapters",
                "--run-id",
                "adapters",
                "--epochs",
                "4",
                "--lora-rank",
                "4",
                "--local-steps",
                "4",
                "--outer-learning-rate",
                "1",
                "--outer-momentum",
                "0"));
    assertThat(run.exitCode()).as(run.err()).isZero();
    assertThat(folder.resolve("adapters/adapter_model.safetensors")).exists();
    assertThat(metric("adapters", "validation_rewards/chosen", 0)).isZero();
    assertThat(metric("adapters", "test_rewards/accuracies", 32)).isGreaterThan(0.8);
    assertThat(LanguageModel.load(folder.resolve("adapters")).weights())
        .isNotEqualTo(LanguageModel.load(folder.resolve("policy")).weights());
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "2 | --beta 0 | Cannot use --beta 0.0: it must be a number greater than 0",
        "2 | --loss ipo --label-smoothing 0.1 | Cannot use --label-smoothing: --loss ipo has none",
        "2 | --loss robust --label-smoothing 0 | --label-smoothing 0.0: it must be greater than 0",
        "2 | --label-smoothing 0.5 | Cannot use --label-smoothing 0.5: it must be at least 0 and",
        "2 | --lanes 3 | Cannot use --lanes 3: it must be a power of two",
        "2 | --lora-alpha 8 | Cannot use --lora-alpha: without --lora-rank all weights are trained",
        "2 | --pairs-run none | run 'none' is not complete",
        "2 | --policy none | Cannot read model none: there is no such directory",
        "3 | --pairs-run test-only | run test-only has no pairs in the split train",
        "3 | --pairs-run train-only --early-stop 1 | Cannot stop early: run train-only has no pairs",
      })
  void whatCannotBeLearnedFromIsSaid(int exitCode, String options, String message) {
    CommandLineRun run = run(dpo("refused", options.split(" ", -1)));
    assertThat(run.exitCode()).as(run.err()).isEqualTo(exitCode);
    assertThat(run.err()).startsWith("Cannot ").contains(message).doesNotContain("\tat ");
    assertThat(folder.resolve("refused")).doesNotExist();
  }

  @Test
  void aClassifierIsNoPolicyAndAPromptNeedsRoomForAResponse() {
    CommandLineRun run = run(dpo("refused", "--policy", path("classifier")));
    assertThat(run.exitCode()).as(run.err()).isEqualTo(2);
    assertThat(run.err()).contains("it is no language model");
    TransformerConfig small = TransformerConfig.llama(259, 16, 24, 1, 2, 12);
    new LanguageModel(small, small.layout().initialWeights(5), TestTokenizers.bytes())
        .save(folder.resolve("small"), Map.of());
    run = run(dpo("refused", "--policy", path("small")));
    assertThat(run.exitCode()).as(run.err()).isEqualTo(2);
    assertThat(run.err()).contains("Cannot optimise preferences: the prompt of pair ");
  }

  @Test
  void theHelpSaysTheDefaultsOfThisJob() {
    CommandLineRun run = CommandLineRun.of("dpo", "--help");
    assertThat(run.exitCode()).isZero();
    assertThat(run.out().replaceAll("\\s+", " "))
        .contains("Times through all rows (default: 1)")
        .contains("Peak learning rate of AdamW (default: 1e-4)")
        .contains("sigmoid, ipo, hinge, robust");
  }

  /** A complete run of pairs in which the response that says yes is the better one. */
  private void pairs(String runId, String split) {
    Dataset<Row> rows =
        session()
            .sql(
                """
                SELECT 'pair-' || id AS pair_id, 'Question ' || id || '?' AS prompt,
                  CAST(NULL AS ARRAY<STRUCT<role: STRING, content: STRING>>) AS messages,
                  'yes ' || repeat('really ', cast(id %% 3 AS INT)) || id AS chosen,
                  'no ' || repeat('never ', cast(id %% 4 AS INT)) || id AS rejected,
                  if(id %% 5 = 0, 0.8D, 1D) AS probability, 0D AS tie_probability, true AS decided,
                  1D AS vote_share, 1 AS votes, 0 AS ties, 0D AS margin, 1D AS weight,
                  'g' || id AS group_key, 'test' AS source, %s AS split FROM range(96)"""
                    .formatted(split));
    Run run = Tables.open(session(), "rlhf", "rlhf").begin("pairs", runId, "{}");
    run.write(Table.PAIRS, rows);
    run.complete(Map.of());
  }

  private String[] dpo(String output, String... options) {
    List<String> command = new ArrayList<>(List.of("dpo", "--output", path(output)));
    List<String> given = Arrays.asList(options);
    if (!given.contains("--policy")) {
      command.addAll(List.of("--policy", path("policy")));
    }
    if (!given.contains("--pairs-run")) {
      command.addAll(List.of("--pairs-run", "yes-and-no"));
    }
    if (!given.contains("--lanes")) {
      command.addAll(List.of("--lanes", "2"));
    }
    command.addAll(List.of("--micro-batch", "4", "--learning-rate", "3e-3"));
    command.addAll(given);
    return command.toArray(String[]::new);
  }

  private static String[] with(String[] options, String... more) {
    List<String> all = new ArrayList<>(Arrays.asList(options));
    all.addAll(Arrays.asList(more));
    return all.toArray(String[]::new);
  }

  private double metric(String run, String name, int step) {
    return session()
        .sql(
            "SELECT value FROM rlhf.rlhf.dpo_metrics WHERE run_id = '%s' AND metric = '%s' AND step = %d"
                .formatted(run, name, step))
        .first()
        .getDouble(0);
  }

  private List<String> metrics(String run) {
    return session()
        .sql(
            "SELECT step, epoch, metric, value FROM rlhf.rlhf.dpo_metrics WHERE run_id = '%s' ORDER BY metric, step"
                .formatted(run))
        .collectAsList()
        .stream()
        .map(Row::toString)
        .toList();
  }

  private CommandLineRun run(String... command) {
    return CommandLineRun.of(withWarehouse(command));
  }

  private String[] withWarehouse(String... command) {
    return with(command, "--warehouse", path("warehouse"));
  }

  private static PrintStream stoppingAt(String start) {
    return new PrintStream(OutputStream.nullOutputStream(), true, StandardCharsets.UTF_8) {
      @Override
      public void println(String line) {
        if (line.startsWith(start)) {
          throw new IllegalStateException("pulled the plug");
        }
      }
    };
  }

  private SparkSession session() {
    return SparkTestSession.withWarehouse(folder.resolve("warehouse"));
  }

  private String path(String name) {
    return folder.resolve(name).toString();
  }
}
