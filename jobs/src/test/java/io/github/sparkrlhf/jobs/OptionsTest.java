package io.github.sparkrlhf.jobs;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Options out of range or without effect end a command before it opens or reads anything. */
class OptionsTest {
  @TempDir private Path folder;

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '"',
      value = {
        "--epochs 0 | Cannot use --epochs 0: it must be at least 1",
        "--learning-rate 0 | Cannot use --learning-rate 0.0: it must be a number greater than 0",
        "--learning-rate=-1 | Cannot use --learning-rate -1.0: it must be a number greater than 0",
        "--learning-rate NaN | Cannot use --learning-rate NaN: it must be a number greater than 0",
        "--warmup-share 2 | Cannot use --warmup-share 2.0: it must be between 0 and 1",
        "--weight-decay=-1 | Cannot use --weight-decay -1.0: it must be a number not less than 0",
        "--max-gradient-norm 0 | Cannot use --max-gradient-norm 0.0: it must be a number greater",
        "--lanes 3 | Cannot use --lanes 3: it must be a power of two",
        "--micro-batch 0 | Cannot use --micro-batch 0: it must be at least 1",
        "--checkpoint-every 0 | Cannot use --checkpoint-every 0: it must be at least 1",
        "--heads 0 | Cannot use --heads 0: it must be at least 1",
        "--layers 0 | Cannot use --layers 0: it must be between 1 and 1024",
        "--layers 1000000000 | Cannot use --layers 1000000000: it must be between 1 and 1024",
        "--hidden-size 0 | Cannot use --hidden-size 0: it must be at least 1",
        "--hidden-size 12 | --hidden-size 12 is not an even multiple of --heads 4",
        "--intermediate-size 0 | Cannot use --intermediate-size 0: it must be at least 1",
        "--max-length 2 | Cannot use --max-length 2: it must be at least 3",
        "--validation-share 1 | Cannot use --validation-share 1.0: it must be at least 0 and less",
        "--max-skipped-share 2 | Cannot use --max-skipped-share 2.0: it must be between 0 and 1",
        "--model m | Cannot use --tokenizer: --model has a tokenizer of its own",
        "--accumulate 0 | Cannot use --accumulate 0: it must be at least 1",
        "--validate-every 0 | Cannot use --validate-every 0: it must be at least 1",
        "--early-stop 0 | Cannot use --early-stop 0: it must be at least 1",
        "--validation-share 0 --early-stop 1 | Cannot use --early-stop: with --validation-share 0 no",
        "--validation-share 0 --validate-every 1 | Cannot use --validate-every: with --validation-s",
        "--lora-rank 4 | Cannot use --lora-rank: a new model has nothing to adapt; give --model",
        "--text t | give one of --prompt (with --response), --messages and --text, not --prompt and",
        "--text t --messages m | not --prompt and --messages and --text"
      })
  void sft(String options, String message) {
    refused(
        message,
        options,
        "sft",
        "--input",
        "none",
        "--output",
        "none",
        "--tokenizer",
        "none",
        "--prompt",
        "none");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "--seed 1 | Cannot fine-tune: give one of --prompt (with --response), --messages and --text",
        "--response r | Cannot fine-tune: give one of --prompt (with --response), --messages and -",
        "--text t --response r | Cannot use --response: it answers --prompt, which is not given",
        "--messages m --response r | Cannot use --response: it answers --prompt, which is not given",
        "--text t --loss-on all | Cannot use --loss-on: the loss is on all tokens of --text"
      })
  void sftHasOneKindOfRows(String options, String message) {
    refused(message, options, "sft", "--input", "none", "--output", "none", "--tokenizer", "none");
  }

  @ParameterizedTest
  @CsvSource({"--hidden-size 128", "--layers 4", "--heads 4", "--max-length 256"})
  void theSizesOfANewModelDoNotApplyToAnOldOneNotEvenTheDefaults(String option) {
    refused(
        "the model of --model has its sizes already",
        option,
        "sft",
        "--input",
        "none",
        "--prompt",
        "none",
        "--output",
        "none",
        "--model",
        "none");
  }

  @ParameterizedTest
  @CsvSource({
    "--model none",
    "--tokenizer none",
    "--layers 4",
    "--epochs 3",
    "--lanes 4",
    "--seed 0",
    "--checkpoints none",
    "--margin-scale 0",
    "--lora-rank 4",
    "--lora-merge"
  })
  void bradleyTerryHasNoOptionsOfTransformers(String option) {
    refused("it is no option of --kind bradley-terry", option, "reward", "--output", "none");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "--regularization=-1 | Cannot use --regularization -1.0",
        "--kind transformer --regularization 1e-3 | --regularization: it is no option of --kind tr",
        "--kind transformer | Cannot make a model: give either --model or --tokenizer",
        "--kind transformer --model m --epochs 0 | Cannot use --epochs 0",
        "--kind transformer --model m --trees 5 | --trees: it is no option of --kind transformer",
        "--kind transformer --model m --tie-parameter 1 | --tie-parameter: it is about --ties",
        "--kind transformer --model m --ties davidson --tie-parameter 0 | --tie-parameter 0.0: it",
        "--ties davidson | --ties: it is no option of --kind bradley-terry",
        "--kind random-forest --trees 0 | Cannot use --trees 0: it must be at least 1",
        "--kind random-forest --max-depth 31 | --max-depth 31: it must be between 1 and 30",
        "--kind random-forest --step-size 0.1 | --step-size: it is no option of --kind random-forest",
        "--kind random-forest --epochs 5 | --epochs: it is no option of --kind random-forest",
        "--kind gradient-boosted --step-size 2 | --step-size 2.0: it must be greater than 0 and at",
        "--kind gradient-boosted --offset-ridge 2 | --offset-ridge: it is about --ratings",
        "--kind mlp --hidden 8,8,8 | --hidden [8, 8, 8]: it must be one or two widths",
        "--kind mlp --hidden 0 | --hidden [0]: it must be one or two widths",
        "--kind mlp --lanes 3 | Cannot use --lanes 3: it must be a power of two",
        "--kind mlp --checkpoints none | --checkpoints: it is no option of --kind mlp",
        "--kind ensemble | Cannot make an ensemble: give --members",
        "--kind ensemble --members m --rule median | --rule median: it must be mean, minimum or",
        "--kind ensemble --members m --variance-coefficient 2 | it is about --rule mean-minus-var",
        "--kind pipeline | Cannot take a pipeline: give --pipeline",
        "--kind transformer --model m --margin-scale NaN | Cannot use --margin-scale NaN"
      })
  void reward(String options, String message) {
    refused(message, options, "reward", "--output", "none");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "--iterations 0 | Cannot use --iterations 0",
        "--prompts-per-iteration 0 | Cannot use --prompts-per-iteration 0",
        "--samples-per-prompt 2000000000 | an iteration cannot have so many responses",
        "--max-new-tokens 0 | Cannot use --max-new-tokens 0",
        "--temperature 0 | Cannot use --temperature 0.0",
        "--epochs 0 | Cannot use --epochs 0",
        "--learning-rate 0 | Cannot use --learning-rate 0.0",
        "--critic-learning-rate NaN | Cannot use --critic-learning-rate NaN",
        "--gamma 0 | Cannot use --gamma 0.0",
        "--lambda 2 | Cannot use --lambda 2.0",
        "--clip-range 0 | Cannot use --clip-range 0.0",
        "--clip-range-high 0 | Cannot use --clip-range-high 0.0",
        "--dual-clip 1 | Cannot use --dual-clip 1.0: it must be a number above 1",
        "--critic-warmup=-1 | Cannot use --critic-warmup -1: it must be at least 0",
        "--algorithm grpo | Cannot use --samples-per-prompt 1: it must be at least 2: grpo compares",
        "--algorithm rloo --samples-per-prompt 2 --critic c | Cannot use --critic: rloo has no critic",
        "--algorithm reinforce++ --lambda 1 | Cannot use --lambda: reinforce++ has no critic",
        "--algorithm dr-grpo --samples-per-prompt 2 --gamma 1 | --gamma: dr-grpo compares whole",
        "--algorithm rloo --samples-per-prompt 2 --whiten-rewards | --whiten-rewards: rloo compares",
        "--algorithm grpo --samples-per-prompt 2 --kl-estimator K1 | K1 has no gradient on average",
        "--loss-average RESPONSES | --loss-average: with a critic the loss is a mean over tokens",
        "--score-clip 0 | Cannot use --score-clip 0.0",
        "--missing-stop-score 1 --missing-stop-penalty 1 | --missing-stop-score replaces the score",
        "--missing-stop-score NaN | Cannot use --missing-stop-score NaN: it must be a finite number",
        "--overlong-tokens 65 | --overlong-tokens 65: it must be between 0 and the 64 of --max-new",
        "--overlong-penalty 1 | --overlong-penalty: without --overlong-tokens there is none",
        "--clip-range-value 0 | Cannot use --clip-range-value 0.0",
        "--value-coefficient=-1 | Cannot use --value-coefficient -1.0",
        "--max-gradient-norm 0 | Cannot use --max-gradient-norm 0.0",
        "--lanes 0 | Cannot use --lanes 0: it must be a power of two",
        "--lanes 3 | Cannot use --lanes 3: it must be a power of two",
        "--generation-batch 0 | Cannot use --generation-batch 0",
        "--checkpoint-every 0 | Cannot use --checkpoint-every 0",
        "--target-approx-kl 0 | Cannot use --target-approx-kl 0.0",
        "--kl-coefficient=-1 | Cannot use --kl-coefficient -1.0",
        "--lora-rank 0 | Cannot use --lora-rank 0: it must be at least 1",
        "--lora-rank 4 --lora-alpha 0 | Cannot use --lora-alpha 0.0",
        "--lora-alpha 8 | Cannot use --lora-alpha: without --lora-rank all weights are trained",
        "--lora-targets q_proj | Cannot use --lora-targets: without --lora-rank",
        "--lora-merge | Cannot use --lora-merge: without --lora-rank all weights are trained",
        "--kl-horizon 10000 | Cannot use --kl-horizon: without --kl-target the coefficient is fixed",
        "--kl-target 0 | Cannot use --kl-target 0.0",
        "--kl-target 6 --kl-horizon 127 | it must be at least the 128 responses of an iteration"
      })
  void ppo(String options, String message) {
    refused(
        message,
        options,
        "ppo",
        "--prompts",
        "none",
        "--policy",
        "none",
        "--reward",
        "none",
        "--output",
        "none");
  }

  private void refused(String message, String options, String... command) {
    List<String> arguments = new ArrayList<>(Arrays.asList(command));
    arguments.addAll(Arrays.asList(options.split(" ", -1)));
    Path warehouse = folder.resolve("warehouse");
    arguments.addAll(List.of("--warehouse", warehouse.toString()));
    CommandLineRun run = CommandLineRun.of(arguments.toArray(String[]::new));

    assertThat(run.exitCode()).as(run.err()).isEqualTo(2);
    assertThat(run.err()).startsWith("Cannot ").contains(message).hasLineCount(1);
    assertThat(warehouse).doesNotExist();
  }
}
