package io.github.sparkrlhf.jobs;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.sparkrlhf.lm.LanguageModel;
import io.github.sparkrlhf.lm.ModelDirectories;
import io.github.sparkrlhf.lm.TestTokenizers;
import io.github.sparkrlhf.lm.TransformerConfig;
import io.github.sparkrlhf.reward.TransformerRewardModel;
import io.github.sparkrlhf.spark.SparkTestSession;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.io.TempDir;

/** Past updates come out again from rows and checkpoints, and what was changed since is found. */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
class ReplayJobTest {
  private static final TransformerConfig CONFIG = TransformerConfig.llama(259, 16, 24, 1, 2, 64);

  private Path folder;

  @BeforeAll
  void writesModelsAndPrompts(@TempDir Path shared) {
    folder = shared;
    new LanguageModel(CONFIG, CONFIG.layout().initialWeights(5), TestTokenizers.bytes())
        .save(folder.resolve("policy"), Map.of());
    TransformerConfig scalar = CONFIG.withHead(TransformerConfig.Head.SEQUENCE_CLASSIFICATION);
    new TransformerRewardModel(
            new LanguageModel(scalar, scalar.layout().initialWeights(6), TestTokenizers.bytes()))
        .save(folder.resolve("reward"), Map.of());
    SparkTestSession.get()
        .sql("SELECT 'p' || id AS prompt_id, 'Say ' || id AS prompt FROM range(9)")
        .coalesce(1)
        .write()
        .parquet(path("prompts"));
  }

  @Test
  void everyUpdateIsReproducedAndAChangedRowIsFound() {
    // The watchdog halves the learning rates after the first iteration.
    ppo(
        "whole",
        "--kl-target",
        "2",
        "--watch-reward",
        path("reward"),
        "--watch-max-length",
        "1",
        "--watchdog-action",
        "lower-learning-rate");
    assertThat(
            run(
                    "whole",
                    "sql",
                    "SELECT min(value) FROM ppo_metrics WHERE metric ="
                        + " 'watchdog/learning_rate_factor'",
                    "--format",
                    "csv")
                .out())
        .endsWith("\n0.5\n");

    CommandLineRun all = run("whole", "replay");
    assertThat(all.exitCode()).as(all.err()).isZero();
    assertThat(all.out())
        .contains("replay 4/4: ")
        .containsPattern("0 +logprobs +\\d+ +0")
        .containsPattern("1 +metrics +\\d+ +0")
        .containsPattern("2 +weights of the policy +\\d+ +0")
        .containsPattern("2 +weights of the checkpoint +\\d+ +0")
        .containsPattern("3 +advantages +\\d+ +0")
        .contains("is reproduced: ");
    // Two checkpoints are kept, those after two and three iterations.
    CommandLineRun end = run("whole", "replay", "--from", "2", "--to", "2");
    assertThat(end.exitCode()).as(end.err()).isZero();
    assertThat(end.out()).contains("replay 3/3: ").doesNotContain("replay 1/3", "replay 2/3");

    fails(2, "--from ≤ --to ≤ 3", "replay", "--from", "4");
    fails(2, "Cannot use --to 5", "replay", "--to", "5");

    CommandLineRun changed =
        run(
            "whole",
            "sql",
            "UPDATE rlhf.rlhf.rollouts SET returns = transform(returns, r -> r + 1E-3F)"
                + " WHERE iteration = 1 AND sample = 0 AND prompt_id = (SELECT min(prompt_id)"
                + " FROM rlhf.rlhf.rollouts WHERE iteration = 1)");
    assertThat(changed.exitCode()).as(changed.err()).isZero();
    fails(
        1,
        "1 of 11 comparisons differ, first returns of iteration 1 in ",
        "replay",
        "--from",
        "1",
        "--to",
        "1");

    ModelDirectories.deleteTree(folder.resolve("policy"));
    new LanguageModel(CONFIG, CONFIG.layout().initialWeights(7), TestTokenizers.bytes())
        .save(folder.resolve("policy"), Map.of());
    fails(2, "a model that it started from has changed since", "replay");
  }

  @Test
  void adaptersOfAnAlgorithmWithoutCriticAreReproduced() {
    new LanguageModel(CONFIG, CONFIG.layout().initialWeights(8), TestTokenizers.bytes())
        .save(folder.resolve("base"), Map.of());
    ppo(
        "adapters",
        "--policy",
        path("base"),
        "--algorithm",
        "grpo",
        "--samples-per-prompt",
        "2",
        "--lora-rank",
        "2");
    CommandLineRun replay = run("adapters", "replay", "--from", "1");
    assertThat(replay.exitCode()).as(replay.err()).isZero();
    assertThat(replay.out())
        .containsPattern("2 +weights of the policy +\\d+ +0")
        .doesNotContain("critic", "values", "returns");
  }

  @Test
  void aRunThatTheWatchdogStoppedIsReproducedWithTheWeightsThatItKept() {
    new LanguageModel(CONFIG, CONFIG.layout().initialWeights(9), TestTokenizers.bytes())
        .save(folder.resolve("other"), Map.of());
    ppo(
        "stopped",
        "--policy",
        path("other"),
        "--watchdog-action",
        "stop",
        "--watch-max-kl",
        "1e-9");
    CommandLineRun replay = run("stopped", "replay");
    assertThat(replay.exitCode()).as(replay.err()).isZero();
    // Iteration 1 is the first with a KL; what follows are the rows of the policy before it.
    assertThat(replay.out())
        .contains("replay 3/3: ")
        .containsPattern("2 +logprobs +\\d+ +0")
        .contains("is reproduced: ");
  }

  private void ppo(String name, String... more) {
    List<String> command =
        new ArrayList<>(
            List.of(
                "ppo",
                "--prompts",
                path("prompts"),
                "--prompt-id",
                "prompt_id",
                "--reward",
                path("reward"),
                "--iterations",
                "3",
                "--prompts-per-iteration",
                "6",
                "--max-new-tokens",
                "6",
                "--epochs",
                "1",
                "--minibatches",
                "2",
                "--lanes",
                "2",
                "--learning-rate",
                "1e-2",
                "--checkpoint-every",
                "1",
                "--output",
                path(name)));
    command.addAll(Arrays.asList(more));
    if (!command.contains("--policy")) {
      command.addAll(List.of("--policy", path("policy")));
    }
    CommandLineRun run = run(name, command.toArray(String[]::new));
    assertThat(run.exitCode()).as(run.err()).isZero();
  }

  private void fails(int exitCode, String message, String... command) {
    CommandLineRun run = run("whole", command);
    assertThat(run.exitCode()).as(run.err()).isEqualTo(exitCode);
    assertThat(run.err()).startsWith("Cannot ").contains(message).doesNotContain("\tat ");
  }

  private CommandLineRun run(String name, String... command) {
    List<String> arguments = new ArrayList<>(Arrays.asList(command));
    arguments.addAll(List.of("--warehouse", path(name + "-warehouse")));
    return CommandLineRun.of(arguments.toArray(String[]::new));
  }

  private String path(String name) {
    return folder.resolve(name).toString();
  }
}
