package io.github.sparkrlhf.jobs;

import io.github.sparkrlhf.lm.Safetensors;
import io.github.sparkrlhf.training.Checkpoints;
import io.github.sparkrlhf.training.LaneSettings;
import io.github.sparkrlhf.training.LearningRateSchedule;
import io.github.sparkrlhf.training.LocalSteps;
import io.github.sparkrlhf.training.Trainer;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Set;
import picocli.CommandLine;
import picocli.CommandLine.Option;

/** How a model is trained on a fixed set of rows. */
final class TrainingOptions {
  /** Names of all these options. */
  static final Set<String> NAMES =
      Set.of(
          "epochs",
          "learning-rate",
          "warmup-share",
          "decay",
          "weight-decay",
          "max-gradient-norm",
          "lanes",
          "micro-batch",
          "accumulate",
          "local-steps",
          "outer-learning-rate",
          "outer-momentum",
          "seed",
          "checkpoints",
          "checkpoint-every");

  /** Defaults of a job that differ from those here. */
  abstract static class Defaults implements CommandLine.IDefaultValueProvider {
    private final Map<String, String> values;

    /**
     * Other defaults.
     *
     * @param values by the option's name without dashes
     */
    Defaults(Map<String, String> values) {
      this.values = Map.copyOf(values);
    }

    @Override
    public String defaultValue(CommandLine.Model.ArgSpec argument) {
      return argument instanceof CommandLine.Model.OptionSpec option
          ? values.get(option.longestName().replaceFirst("^--", ""))
          : null;
    }
  }

  @Option(
      names = "--epochs",
      paramLabel = "N",
      defaultValue = "3",
      description = "Times through all rows (default: ${DEFAULT-VALUE}).")
  private int epochs;

  @Option(
      names = "--learning-rate",
      paramLabel = "RATE",
      defaultValue = "1e-3",
      description = "Peak learning rate of AdamW (default: ${DEFAULT-VALUE}).")
  private double learningRate;

  @Option(
      names = "--warmup-share",
      paramLabel = "SHARE",
      defaultValue = "0.05",
      description =
          "Share of all steps, 0 to 1, over which the learning rate rises (default: ${DEFAULT-VALUE}).")
  private double warmupShare;

  @Option(
      names = "--decay",
      paramLabel = "FORM",
      defaultValue = "COSINE",
      description =
          "Form in which the learning rate falls to 0: ${COMPLETION-CANDIDATES} (default: ${DEFAULT-VALUE}).")
  private LearningRateSchedule.Decay decay;

  @Option(
      names = "--weight-decay",
      paramLabel = "RATE",
      defaultValue = "0.01",
      description =
          "Weight decay of matrices; none on norms and biases (default: ${DEFAULT-VALUE}).")
  private double weightDecay;

  @Option(
      names = "--max-gradient-norm",
      paramLabel = "NORM",
      defaultValue = "1.0",
      description =
          "Global gradient norm above which gradients are scaled down (default: ${DEFAULT-VALUE}).")
  private double maxGradientNorm;

  @Option(
      names = "--lanes",
      paramLabel = "N",
      defaultValue = "4",
      description =
          "Lanes the rows are dealt into, a power of two: at most so many tasks work on a step. Part of the result, unlike the number of executors (default: ${DEFAULT-VALUE}).")
  private int lanes;

  @Option(
      names = "--micro-batch",
      paramLabel = "ROWS",
      defaultValue = "16",
      description =
          "Rows of a lane that are computed together, on average; a step has lanes × micro-batch × accumulate rows (default: ${DEFAULT-VALUE}).")
  private int microBatch;

  @Option(
      names = "--accumulate",
      paramLabel = "N",
      defaultValue = "1",
      description =
          "Micro-batches of a lane in a step, one after the other: the step of a micro-batch N times as large in the memory of one (default: ${DEFAULT-VALUE}).")
  private int accumulate;

  @Option(
      names = "--local-steps",
      paramLabel = "STEPS",
      defaultValue = "1",
      description =
          "Steps that each lane takes alone between two rounds; 1 sums gradients after every step (default: ${DEFAULT-VALUE}).")
  private int localSteps;

  @Option(
      names = "--outer-learning-rate",
      paramLabel = "RATE",
      defaultValue = "0.7",
      description =
          "With --local-steps: how much of the lanes' mean way is gone (default: ${DEFAULT-VALUE}).")
  private double outerLearningRate;

  @Option(
      names = "--outer-momentum",
      paramLabel = "SHARE",
      defaultValue = "0.9",
      description =
          "With --local-steps: Nesterov momentum of the lanes' mean way, 0 to below 1 (default: ${DEFAULT-VALUE}).")
  private double outerMomentum;

  @Option(
      names = "--seed",
      paramLabel = "NUMBER",
      defaultValue = "0",
      description = "Seed of new weights and of the order of rows (default: ${DEFAULT-VALUE}).")
  private long seed;

  @Option(
      names = "--checkpoints",
      paramLabel = "DIR",
      description = "Directory of checkpoints to resume from (default: <output>.checkpoints).")
  private Path checkpoints;

  @Option(
      names = "--checkpoint-every",
      paramLabel = "STEPS",
      defaultValue = "100",
      description = "Steps between two checkpoints (default: ${DEFAULT-VALUE}).")
  private int checkpointEvery;

  /** Another number of epochs than the usual one, unless it is given. */
  void defaultEpochs(Given given, int number) {
    if (!given.has("epochs")) {
      epochs = number;
    }
  }

  /** Checks the ranges. */
  void validate() {
    Given.requireCount("epochs", epochs);
    Given.requirePositive("learning-rate", learningRate);
    Given.requireShare("warmup-share", warmupShare);
    Given.requireNotNegative("weight-decay", weightDecay);
    Given.requirePositive("max-gradient-norm", maxGradientNorm);
    Given.requireLanes(lanes);
    Given.requireCount("micro-batch", microBatch);
    Given.requireCount("accumulate", accumulate);
    Given.requireCount("checkpoint-every", checkpointEvery);
    Given.requireCount("local-steps", localSteps);
    localSteps();
  }

  long seed() {
    return seed;
  }

  LaneSettings lanes() {
    return new LaneSettings(lanes, microBatch, accumulate, seed, LaneSettings.Order.BY_LENGTH);
  }

  /** {@link #lanes} for rows without length. */
  LaneSettings shuffledLanes() {
    return new LaneSettings(lanes, microBatch, accumulate, seed, LaneSettings.Order.SHUFFLED);
  }

  Trainer.Settings settings() {
    return new Trainer.Settings(
        epochs,
        learningRate,
        warmupShare,
        decay,
        weightDecay,
        maxGradientNorm,
        checkpointEvery,
        localSteps());
  }

  private LocalSteps localSteps() {
    return localSteps == 1
        ? LocalSteps.SYNCHRONOUS
        : new LocalSteps(localSteps, outerLearningRate, outerMomentum);
  }

  Checkpoints checkpoints(Path output, JobContext context, List<Safetensors.Tensor> parameters) {
    return CheckpointDirectories.of(checkpoints, output, context, parameters);
  }
}
