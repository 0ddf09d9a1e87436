package io.github.sparkrlhf.jobs;

import io.github.sparkrlhf.reward.TaskChoice;
import io.github.sparkrlhf.spark.JobFailure;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParentCommand;

/** Rounds of asking people about what the policy writes, and learning from what they say. */
@Command(
    name = "pipeline",
    mixinStandardHelpOptions = true,
    versionProvider = Main.Version.class,
    sortOptions = false,
    usageHelpAutoWidth = true,
    description = {
      "Rounds of sample, choose what to label, label, refit, ppo. When a round's tasks are written it ends and says where the labels have to be put; the same command then goes on.",
      "Every step is a job of this program with a run of its own; its command line is printed. Steps that are complete are not run again."
    })
final class PipelineJob implements Callable<Integer> {
  @Option(
      names = "--rounds",
      required = true,
      paramLabel = "N",
      description = "Times that people are asked.")
  private int rounds;

  @Option(
      names = "--dir",
      required = true,
      paramLabel = "DIR",
      description =
          "Directory for tasks, labels and models, which driver and executors can see; those of round N in DIR/round-N.")
  private Path directory;

  @Option(
      names = "--votes",
      required = true,
      paramLabel = "PATH|TABLE",
      description =
          "The log to begin with, in the columns of the layout comparison: prompt, response_a, response_b, choice and, if known, annotator_id, feedback_id.")
  private String votes;

  @Option(
      names = "--prompts",
      required = true,
      paramLabel = "PATH|TABLE",
      description = "Prompts to sample responses to, with the columns prompt_id and prompt.")
  private String prompts;

  @Option(
      names = "--policy",
      required = true,
      paramLabel = "DIR",
      description = "The language model that PPO of every round starts from, and the reference.")
  private Path policy;

  @Option(
      names = "--tasks",
      paramLabel = "N",
      defaultValue = "100",
      description = "Tasks of a round (default: ${DEFAULT-VALUE}).")
  private int tasks;

  @Option(
      names = "--choose-by",
      paramLabel = "RULE",
      defaultValue = "disagreement",
      description =
          "disagreement of the two reward models, margin or random (default: ${DEFAULT-VALUE}).")
  private TaskChoice.Rule rule;

  @Option(
      names = "--samples-per-prompt",
      paramLabel = "N",
      defaultValue = "4",
      description =
          "Responses to each prompt among which pairs are chosen (default: ${DEFAULT-VALUE}).")
  private int samplesPerPrompt;

  @Option(
      names = "--max-new-tokens",
      paramLabel = "TOKENS",
      defaultValue = "64",
      description = "Longest response (default: ${DEFAULT-VALUE}).")
  private int maxNewTokens;

  @Option(
      names = "--label-format",
      paramLabel = "NAME",
      defaultValue = "label-studio",
      description =
          "What DIR/round-N/labels is: label-studio or argilla (a JSON file labels.json), or parquet (a file or folder labels.parquet) (default: ${DEFAULT-VALUE}).")
  private String labelFormat;

  @Option(
      names = "--pairs-args",
      paramLabel = "FILE",
      description = "Argument file with more options of pairs.")
  private Path pairsArguments;

  @Option(
      names = "--reward-args",
      paramLabel = "FILE",
      description = "Argument file with more options of reward (default: bradley-terry).")
  private Path rewardArguments;

  @Option(
      names = "--ppo-args",
      paramLabel = "FILE",
      description = "Argument file with more options of ppo.")
  private Path ppoArguments;

  @Option(
      names = "--name",
      paramLabel = "NAME",
      defaultValue = "pipeline",
      description = "Run ids are NAME-ROUND-STEP (default: ${DEFAULT-VALUE}).")
  private String name;

  @Option(
      names = "--seed",
      paramLabel = "NUMBER",
      defaultValue = "0",
      description =
          "Seed of what is sampled and trained; another one in each round (default: ${DEFAULT-VALUE}).")
  private long seed;

  @Option(
      names = "--warehouse",
      paramLabel = "DIR",
      defaultValue = "warehouse",
      description = "Folder of the tables (default: ${DEFAULT-VALUE}).")
  private String warehouse;

  @Option(
      names = "--master",
      paramLabel = "URL",
      description =
          "Spark master (default: the one given to spark-submit, else local[*]: all cores of this machine).")
  private String master;

  @ParentCommand private Main main;

  @Override
  public Integer call() {
    Given.requireCount("rounds", rounds);
    for (Path file : new Path[] {pairsArguments, rewardArguments, ppoArguments}) {
      if (file != null && !Files.isReadable(file)) {
        throw JobFailure.usage("Cannot read argument file " + file);
      }
    }
    int exitCode = refit(0);
    for (int round = 1; round <= rounds && exitCode == 0; round++) {
      exitCode = ask(round);
      if (exitCode == 0 && !Files.exists(labels(round))) {
        tellWhatToDo(round);
        return 0;
      }
      if (exitCode == 0) {
        exitCode = learn(round);
      }
    }
    return exitCode;
  }

  /** Samples from the newest policy and chooses what people should compare. */
  private int ask(int round) {
    Path newest = round == 1 ? policy : at(round - 1, "ppo").resolve("policy");
    int exitCode =
        run(
            null,
            "rollout",
            round,
            "rollout",
            "--prompts",
            prompts,
            "--prompt-id",
            "prompt_id",
            "--policy",
            newest.toString(),
            "--samples-per-prompt",
            "" + samplesPerPrompt,
            "--max-new-tokens",
            "" + maxNewTokens,
            "--seed",
            "" + (seed + round));
    return exitCode != 0
        ? exitCode
        : run(
            null,
            "tasks",
            round,
            "tasks",
            "--rollouts-run",
            id(round, "rollout"),
            "--reward",
            at(round - 1, "reward-1").toString(),
            "--reward",
            at(round - 1, "reward-2").toString(),
            "--labelled-run",
            id(round - 1, "pairs"),
            "--choose-by",
            rule.toString(),
            "--tasks",
            "" + tasks,
            "--seed",
            "" + (seed + round),
            "--output",
            at(round, "tasks").toString());
  }

  /** Takes the labels, fits both reward models to all votes so far, and the policy to them. */
  private int learn(int round) {
    int exitCode =
        run(
            null,
            "labels",
            round,
            "labels",
            "--tasks-run",
            id(round, "tasks"),
            "--input",
            labels(round).toString(),
            "--format",
            labelFormat,
            "--output",
            at(round, "votes").toString());
    exitCode = exitCode == 0 ? refit(round) : exitCode;
    return exitCode != 0
        ? exitCode
        : run(
            ppoArguments,
            "ppo",
            round,
            "ppo",
            "--prompts",
            prompts,
            "--prompt-id",
            "prompt_id",
            "--policy",
            policy.toString(),
            "--reward",
            at(round, "reward-1") + "=0.5",
            "--reward",
            at(round, "reward-2") + "=0.5",
            "--max-new-tokens",
            "" + maxNewTokens,
            "--seed",
            "" + (seed + round),
            "--output",
            at(round, "ppo").toString());
  }

  /** All votes so far become pairs, and either half of these a reward model. */
  private int refit(int round) {
    List<String> inputs = new ArrayList<>(List.of("--input", votes));
    for (int labelled = 1; labelled <= round; labelled++) {
      inputs.addAll(List.of("--input", at(labelled, "votes").toString()));
    }
    int exitCode = run(pairsArguments, "pairs", round, "pairs", inputs.toArray(String[]::new));
    for (int half = 1; half <= 2 && exitCode == 0; half++) {
      exitCode =
          run(
              rewardArguments,
              "reward",
              round,
              "reward-" + half,
              "--pairs-run",
              id(round, "pairs"),
              "--half",
              "" + half,
              "--output",
              at(round, "reward-" + half).toString());
    }
    return exitCode;
  }

  private int run(Path arguments, String job, int round, String step, String... options) {
    List<String> line = new ArrayList<>(List.of(job));
    if (arguments != null) {
      line.add("@" + arguments);
    }
    line.addAll(List.of(options));
    line.addAll(List.of("--run-id", id(round, step), "--warehouse", warehouse));
    if (master != null) {
      line.addAll(List.of("--master", master));
    }
    PrintStream out = main.out();
    out.println();
    out.println("$ spark-rlhf " + String.join(" ", line));
    return Main.run(out, main.err(), line.toArray(String[]::new));
  }

  private void tellWhatToDo(int round) {
    PrintStream out = main.out();
    out.println();
    out.println(
        "Round %d of %d waits for labels: the tasks are in %s."
            .formatted(round, rounds, at(round, "tasks")));
    out.println(
        "Put what people say (%s) into %s and run the same command again."
            .formatted(labelFormat, labels(round)));
  }

  private Path labels(int round) {
    return at(round, labelFormat.equals("parquet") ? "labels.parquet" : "labels.json");
  }

  private Path at(int round, String what) {
    return directory.resolve("round-" + round).resolve(what);
  }

  private String id(int round, String step) {
    return name + "-" + round + "-" + step;
  }
}
