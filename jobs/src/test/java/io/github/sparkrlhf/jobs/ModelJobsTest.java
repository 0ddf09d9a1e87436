package io.github.sparkrlhf.jobs;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.sparkrlhf.feedback.SimulatedLog;
import io.github.sparkrlhf.lm.LanguageModel;
import io.github.sparkrlhf.lm.ModelDirectories;
import io.github.sparkrlhf.spark.SparkTestSession;
import io.github.sparkrlhf.tables.Tables;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.apache.spark.sql.Encoders;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.io.TempDir;

/** The jobs that make and use models, on a tiny log, as a user runs and misuses them. */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
class ModelJobsTest {
  private Path folder;

  @BeforeAll
  void trainsTinyModels(@TempDir Path shared) {
    folder = shared;
    SimulatedLog log = new SimulatedLog(SparkTestSession.get(), 3, 1_000);
    log.events().coalesce(1).write().parquet(path("log"));
    log.demonstrations(300).coalesce(1).write().parquet(path("demonstrations"));
    log.prompts().limit(40).coalesce(1).write().parquet(path("prompts"));
    step("pairs", "--input", path("log"), "--id", "event_id", "--annotator", "annotator");
    step(
        "tokenizer",
        "--input",
        path("demonstrations"),
        "--text",
        "prompt",
        "--text",
        "response",
        "--vocabulary-size",
        "400",
        "--output",
        path("tokenizer"));
    step(sft("policy"));
    step("reward", "--output", path("bradley-terry"));
    step(
        "reward",
        "--kind",
        "transformer",
        "--model",
        path("policy"),
        "--epochs",
        "1",
        "--output",
        path("transformer"));
  }

  @Test
  void modelDirectoriesHoldWhatTransformersReadsAndTheirProvenance() throws IOException {
    try (Stream<Path> files = Files.list(folder.resolve("policy"))) {
      assertThat(files.map(file -> file.getFileName().toString()))
          .containsExactlyInAnyOrder(
              "config.json",
              "model.safetensors",
              "tokenizer.json",
              "tokenizer_config.json",
              "special_tokens_map.json",
              "rlhf.json");
    }
    assertThat(Files.readString(folder.resolve("policy/rlhf.json")))
        .contains("\"run_id\" : \"sft-", "\"validation_perplexity\"", "\"inputs\"");
  }

  @Test
  void bothKindsScoreEveryRowAndPpoMovesAwayFromTheReference() {
    for (String model : List.of("bradley-terry", "transformer")) {
      step(
          "score",
          "--input",
          path("demonstrations"),
          "--id",
          "demonstration_id",
          "--model",
          path(model));
    }
    step(ppo("bradley-terry", "ppo-bradley-terry"));
    step(ppo("transformer", "ppo-transformer"));

    SparkSession spark = tables();
    assertThat(
            spark
                .sql("SELECT model, count(DISTINCT row_id) FROM scores GROUP BY model ORDER BY 1")
                .collectAsList()
                .toString())
        .isEqualTo("[[bradley-terry,300], [transformer,300]]");
    assertThat(
            spark
                .sql(
                    "SELECT run_id FROM rollouts GROUP BY run_id HAVING count(*) = 48 AND sum(abs(if(iteration = 0, kl, 0))) = 0 AND sum(abs(if(iteration = 2, kl, 0))) > 0")
                .count())
        .as("16 responses of iterations 0 and 1 and of the final policy; no KL at iteration 0")
        .isEqualTo(2);
    assertThat(
            spark
                .sql("SELECT summary FROM runs WHERE job = 'ppo'")
                .as(Encoders.STRING())
                .collectAsList())
        .hasSize(2)
        .allMatch(summary -> summary.contains("objective/kl") && !summary.contains("\"eps\""));
    assertThat(folder.resolve("ppo-transformer/policy/model.safetensors")).exists();
    assertThat(folder.resolve("ppo-transformer/critic/model.safetensors")).exists();
  }

  @Test
  void adaptersAreTrainedAndReadByTheOtherJobsAndMergedOnRequest() throws IOException {
    CommandLineRun run = run(lora("sft-adapters"));
    assertThat(run.exitCode()).as(run.err()).isZero();
    assertThat(run.out())
        .containsPattern(
            "Each round sends [0-9.]+ MB to each executor and [0-9.]+ MB back from each task; without LoRA it would be [0-9.]+ MB and [0-9.]+ MB");
    Path adapters = folder.resolve("sft-adapters");
    assertThat(adapters.resolve("adapter_model.safetensors")).exists();
    assertThat(adapters.resolve("model.safetensors")).doesNotExist();
    assertThat(Files.readString(adapters.resolve("rlhf.json")))
        .contains("\"base_digest\"", "\"round_broadcast_bytes_without_lora\"");
    step(lora("sft-merged", "--lora-merge"));
    float[] merged = LanguageModel.load(folder.resolve("sft-merged")).weights();
    assertThat(LanguageModel.load(adapters).weights())
        .isEqualTo(merged)
        .isNotEqualTo(LanguageModel.load(folder.resolve("policy")).weights());
    fails(2, "it holds adapters itself", lora("sft-stacked", "--model", adapters.toString()));
    fails(2, "Cannot adapt 'c_attn'", lora("sft-unknown", "--lora-targets", "q_proj,c_attn"));
    List<String> rollout =
        List.of("rollout", "--prompts", path("prompts"), "--prompt-id", "prompt_id");
    List<String> command = new ArrayList<>(rollout);
    command.addAll(List.of("--policy", adapters.toString(), "--max-new-tokens", "4"));
    step(command.toArray(String[]::new));
  }

  @Test
  void adaptersOfRewardModelsScoreAndThoseOfPpoArePolicyAndCritic() {
    step(
        "reward",
        "--kind",
        "transformer",
        "--model",
        path("policy"),
        "--epochs",
        "1",
        "--lora-rank",
        "2",
        "--lora-targets",
        "q_proj,v_proj",
        "--output",
        path("reward-adapters"));
    assertThat(folder.resolve("reward-adapters/adapter_config.json")).exists();
    List<String> score = List.of("score", "--input", path("demonstrations"), "--model");
    List<String> command = new ArrayList<>(score);
    command.add(path("reward-adapters"));
    step(command.toArray(String[]::new));
    assertThat(
            tables()
                .sql(
                    "SELECT count(DISTINCT score) FROM scores WHERE model = 'reward-adapters' AND not isnan(score)")
                .first()
                .getLong(0))
        .isGreaterThan(100);

    List<String> ppo = new ArrayList<>(Arrays.asList(ppo("transformer", "ppo-adapters")));
    ppo.addAll(List.of("--lora-rank", "2"));
    CommandLineRun run = run(ppo.toArray(String[]::new));
    assertThat(run.exitCode()).as(run.err()).isZero();
    assertThat(run.out()).contains("; without LoRA it would be ");
    for (String name : List.of("policy", "critic")) {
      Path adapters = folder.resolve("ppo-adapters").resolve(name);
      Path base = folder.resolve(name.equals("policy") ? "policy" : "transformer");
      assertThat(adapters.resolve("adapter_model.safetensors")).exists();
      assertThat(LanguageModel.load(adapters).weights())
          .hasSameSizeAs(LanguageModel.load(base).weights())
          .isNotEqualTo(LanguageModel.load(base).weights());
    }
  }

  @Test
  void halvesOfTheTrainingPairsAreDisjointAndTheOtherSplitsWhole() {
    step("reward", "--half", "1", "--output", path("half-1"));
    step("reward", "--half", "2", "--output", path("half-2"));
    String pairs =
        "SELECT sum(if(model = 'bradley-terry', n, 0)), sum(if(model LIKE 'half-%', n, 0)), min(n) FROM reward_metrics WHERE metric = 'accuracy' AND slice = 'all' AND model IN ('bradley-terry', 'half-1', 'half-2') AND split ";
    Row train = tables().sql(pairs + "= 'train'").first();
    assertThat(train.getLong(1)).isEqualTo(train.getLong(0));
    assertThat(train.getLong(2)).isPositive();
    Row others = tables().sql(pairs + "<> 'train'").first();
    assertThat(others.getLong(1)).isEqualTo(2 * others.getLong(0));
  }

  @Test
  void aWatchedTrainingWithoutCriticStopsBeforeItGoesOutOfBoundsAnyFurther() {
    List<String> command = new ArrayList<>(Arrays.asList(ppo("bradley-terry", "rloo")));
    command.addAll(
        List.of("--algorithm", "rloo", "--samples-per-prompt", "2", "--print-samples-every", "1"));
    command.addAll(List.of("--reward", path("transformer") + "=0.5"));
    command.addAll(List.of("--shaping", "-0.01 * tokens", "--watch-reward", path("transformer")));
    command.addAll(List.of("--watchdog-action", "stop", "--watch-min-length", "9"));
    CommandLineRun run = run(command.toArray(String[]::new));
    assertThat(run.exitCode()).as(run.err()).isZero();
    assertThat(run.out())
        .contains("  iteration 0, score ", "    > ")
        .contains("ppo: watchdog, iteration 0: the length of responses in tokens is")
        .contains("kept the weights before the update of iteration 0");
    assertThat(folder.resolve("rloo/critic")).doesNotExist();
    assertThat(LanguageModel.load(folder.resolve("rloo/policy")).weights())
        .isEqualTo(LanguageModel.load(folder.resolve("policy")).weights());
    Row row =
        tables()
            .sql(
                "SELECT max(iteration), count(*), count(values), sum(if(iteration = 1, abs(kl), 0)), max(summary), max(summary LIKE '%\"algorithm\":\"rloo\"%') FROM rollouts JOIN runs USING (run_id) WHERE configuration LIKE '%rloo%'")
            .first();
    assertThat(row.getInt(0)).isEqualTo(1);
    assertThat(row.getLong(1)).isEqualTo(64);
    assertThat(row.getLong(2)).as("values of a critic").isZero();
    assertThat(row.getDouble(3)).as("KL of the policy that was kept").isZero();
    assertThat(row.getString(4))
        .contains("\"stopped_by_watchdog\":true", "\"kept_iteration\":0", "below 9.000")
        .contains("objective/raw_scores/transformer", "watchdog/scores", "objective/shaping");
    assertThat(row.getBoolean(5)).isTrue();
  }

  @Test
  void theSameTrainingElsewhereGivesTheSameBytes() throws IOException {
    Path other = folder.resolve("again");
    CommandLineRun.step(
        folder.resolve("warehouse"),
        "reward",
        "--kind",
        "transformer",
        "--model",
        path("policy"),
        "--epochs",
        "1",
        "--output",
        other.toString());

    assertThat(other.resolve("model.safetensors"))
        .hasSameBinaryContentAs(folder.resolve("transformer/model.safetensors"));
  }

  @Test
  void theIdentityHoldsWhatDecidesTheResultAndNothingElse() {
    String sft = configuration("sft", "--tokenizer");
    assertThat(sft)
        .contains("\"spark.task.cpus\":1", "\"lanes\":4", "\"hidden-size\":32")
        .doesNotContain("checkpoint");
    assertThat(configuration("reward", "--kind\":\"bradley-terry"))
        .contains("\"regularization\":5.0E-4", "pairs of run pairs-")
        .doesNotContain("epochs", "lanes", "hidden-size", "margin-scale", "pairs-run", "task.cpus");
    assertThat(configuration("reward", "--kind\":\"transformer"))
        .contains("\"spark.task.cpus\":1", "\"epochs\":1", "\"margin-scale\":0.0")
        .doesNotContain("regularization", "hidden-size", "max-length", "checkpoint");
  }

  @Test
  void theSameRunInOtherWordsIsNotRunAgain() {
    String pairs = tables().sql("SELECT run_id FROM runs WHERE job = 'pairs'").first().getString(0);
    assertNothingToDo("reward", "--pairs-run", pairs, "--output", path("bradley-terry"));
    List<String> sft = new ArrayList<>(Arrays.asList(sft("policy")));
    sft.addAll(List.of("--checkpoint-every", "7", "--checkpoints", path("elsewhere")));
    assertNothingToDo(sft.toArray(String[]::new));
  }

  @Test
  void aRunThatHasLostItsModelMakesItAgain() throws IOException {
    step(sft("lost"));
    byte[] weights = Files.readAllBytes(folder.resolve("lost/model.safetensors"));
    ModelDirectories.deleteTree(folder.resolve("lost"));
    long before = runs();

    CommandLineRun again = run(sft("lost"));

    assertThat(again.exitCode()).as(again.err()).isZero();
    assertThat(again.out())
        .contains("is complete but has lost [" + path("lost") + "]: running it again");
    assertThat(folder.resolve("lost/model.safetensors")).hasBinaryContent(weights);
    assertThat(runs()).isEqualTo(before);
    assertNothingToDo(sft("lost"));
  }

  @Test
  void rowsThatCannotBeLearnedFromAreCountedAndTooManyAreAQualityError() {
    List<String> some = new ArrayList<>(Arrays.asList(sft("skipping")));
    some.addAll(List.of("--response", "if(demonstration_id like '%7', ' ', response)"));
    fails(3, "of 300 rows (10.0 %) have no prompt or a blank response, more than", some);
    some.addAll(List.of("--max-skipped-share", "0.2"));

    CommandLineRun run = run(some.toArray(String[]::new));

    assertThat(run.exitCode()).as(run.err()).isZero();
    assertThat(run.out()).contains("30 of 300 rows have no prompt or a blank response: skipped");
    assertThat(
            tables()
                .sql(
                    "SELECT count(*) FROM runs WHERE job = 'sft' AND summary LIKE '%skipped\":30,%'")
                .first()
                .getLong(0))
        .isEqualTo(1);
    List<String> none = new ArrayList<>(Arrays.asList(sft("skipping-all")));
    none.addAll(List.of("--response", "''", "--max-skipped-share", "1"));
    fails(3, "no row is left", none);
  }

  @Test
  void promptsMustLeaveRoomInTheCriticToo() throws IOException {
    Path critic = copy("transformer", "short-critic");
    Path config = critic.resolve("config.json");
    Files.writeString(
        config,
        Files.readString(config)
            .replace("\"max_position_embeddings\" : 96", "\"max_position_embeddings\" : 10"));
    List<String> command = new ArrayList<>(Arrays.asList(ppo("bradley-terry", "ppo-short")));
    command.addAll(List.of("--critic", critic.toString()));
    fails(2, "with --max-new-tokens 8 policy and critic have room for 2", command);
  }

  @Test
  void aModelDirectoryThatExistsIsNeverOverwritten() {
    fails(
        2, "it exists already; remove it or choose another", "reward", "--output", path("policy"));
  }

  @Test
  void aMissingModelIsAUsageError() {
    fails(
        2,
        "Cannot read model " + path("none") + ": there is no such directory",
        "score",
        "--input",
        path("demonstrations"),
        "--model",
        path("none"));
  }

  @Test
  void aPolicyIsNoRewardModel() {
    fails(
        2,
        "it is a language model without score",
        "score",
        "--input",
        path("demonstrations"),
        "--model",
        path("policy"));
  }

  @Test
  void aRewardModelIsNoPolicy() {
    String[] command = ppo("transformer", "ppo-wrong");
    command[Arrays.asList(command).indexOf("--policy") + 1] = path("transformer");
    fails(2, "it is no language model", command);
    assertThat(folder.resolve("ppo-wrong")).doesNotExist();
  }

  @Test
  void aModelNeedsEitherATokenizerOrAParent() {
    fails(
        2,
        "Cannot make a model: give either --model or --tokenizer",
        "sft",
        "--input",
        path("demonstrations"),
        "--prompt",
        "prompt",
        "--output",
        path("orphan"));
  }

  @Test
  void anUnknownRunOfPairsIsAUsageErrorThatNamesTheRunsThereAre() {
    fails(2, "pairs-", "reward", "--pairs-run", "nope", "--output", path("nope"));
  }

  @Test
  void morePromptsThanThereAreIsAUsageError() {
    String[] command = ppo("bradley-terry", "ppo-greedy");
    command[Arrays.asList(command).indexOf("--prompts-per-iteration") + 1] = "41";
    fails(2, "an iteration draws 41 prompts and there are only 40", command);
  }

  @Test
  void aDamagedModelIsAFailureThatNamesTheFile() throws IOException {
    Path damaged = copy("transformer", "damaged");
    byte[] bytes = Files.readAllBytes(damaged.resolve("model.safetensors"));
    Files.write(damaged.resolve("model.safetensors"), Arrays.copyOf(bytes, bytes.length / 2));
    fails(
        1,
        damaged.resolve("model.safetensors").toString(),
        "score",
        "--input",
        path("demonstrations"),
        "--model",
        damaged.toString());
  }

  private Path copy(String model, String name) throws IOException {
    Path copy = Files.createDirectory(folder.resolve(name));
    try (Stream<Path> files = Files.list(folder.resolve(model))) {
      for (Path file : files.toList()) {
        Files.copy(file, copy.resolve(file.getFileName()));
      }
    }
    return copy;
  }

  private String configuration(String job, String part) {
    return tables()
        .sql("SELECT configuration FROM runs WHERE job = '" + job + "' ORDER BY started_at")
        .as(Encoders.STRING())
        .collectAsList()
        .stream()
        .filter(configuration -> configuration.contains(part.replaceFirst("^--", "\"")))
        .findFirst()
        .orElseThrow();
  }

  private String[] sft(String output) {
    return new String[] {
      "sft",
      "--input",
      path("demonstrations"),
      "--prompt",
      "prompt",
      "--tokenizer",
      path("tokenizer"),
      "--hidden-size",
      "32",
      "--layers",
      "1",
      "--heads",
      "2",
      "--max-length",
      "96",
      "--epochs",
      "1",
      "--output",
      path(output)
    };
  }

  /** Adapters on the policy; what follows replaces what stands here. */
  private String[] lora(String output, String... more) {
    List<String> command =
        new ArrayList<>(
            List.of(
                "sft",
                "--input",
                path("demonstrations"),
                "--prompt",
                "prompt",
                "--epochs",
                "1",
                "--lora-rank",
                "4",
                "--output",
                path(output)));
    List<String> added = Arrays.asList(more);
    if (!added.contains("--model")) {
      command.addAll(List.of("--model", path("policy")));
    }
    command.addAll(added);
    return command.toArray(String[]::new);
  }

  private String[] ppo(String reward, String output) {
    return new String[] {
      "ppo",
      "--prompts",
      path("prompts"),
      "--prompt-id",
      "prompt_id",
      "--policy",
      path("policy"),
      "--reward",
      path(reward),
      "--iterations",
      "2",
      "--prompts-per-iteration",
      "16",
      "--max-new-tokens",
      "8",
      "--epochs",
      "1",
      "--minibatches",
      "2",
      "--learning-rate",
      "1e-3",
      "--output",
      path(output)
    };
  }

  private void assertNothingToDo(String... command) {
    CommandLineRun run = run(command);
    assertThat(run.exitCode()).as(run.err()).isZero();
    assertThat(run.out()).endsWith("is already complete: nothing to do\n");
  }

  private void fails(int exitCode, String message, List<String> command) {
    fails(exitCode, message, command.toArray(String[]::new));
  }

  private void fails(int exitCode, String message, String... command) {
    long before = runs();
    CommandLineRun run = run(command);

    assertThat(run.exitCode()).as(run.err()).isEqualTo(exitCode);
    assertThat(run.err()).startsWith("Cannot ").contains(message).doesNotContain("\tat ");
    assertThat(runs()).as("complete runs").isEqualTo(before);
  }

  private CommandLineRun run(String... command) {
    List<String> arguments = new ArrayList<>(Arrays.asList(command));
    arguments.addAll(List.of("--warehouse", folder.resolve("warehouse").toString()));
    return CommandLineRun.of(arguments.toArray(String[]::new));
  }

  private long runs() {
    return tables().table("runs").count();
  }

  private SparkSession tables() {
    SparkSession spark = SparkTestSession.withWarehouse(folder.resolve("warehouse"));
    Tables.open(spark, "rlhf", "rlhf").registerViews();
    return spark;
  }

  private void step(String... command) {
    CommandLineRun.step(folder.resolve("warehouse"), command);
  }

  private String path(String name) {
    return folder.resolve(name).toString();
  }
}
