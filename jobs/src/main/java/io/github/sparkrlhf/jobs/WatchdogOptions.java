package io.github.sparkrlhf.jobs;

import io.github.sparkrlhf.ppo.WatchdogSettings;
import java.util.List;
import java.util.Set;
import picocli.CommandLine.Option;

/** When a training is thought to go wrong, and what is done then. */
final class WatchdogOptions {
  private static final String ITERATIONS = "watch-iterations";

  @Option(
      names = "--watchdog-action",
      paramLabel = "ACTION",
      defaultValue = "warn",
      description =
          "What is done on an alarm, besides telling the reason: ${COMPLETION-CANDIDATES}. stop keeps the weights of the best iteration, by the watcher's score or, without --watch-reward, by the score; lower-learning-rate halves the rates (default: ${DEFAULT-VALUE}).")
  private WatchdogSettings.Action action;

  @Option(
      names = "--watch-iterations",
      paramLabel = "N",
      defaultValue = "5",
      description =
          "Alarm when each of the last N iterations has a higher score than the one N before it, and a lower one by --watch-reward; also the least iterations between two halvings of the learning rate (default: ${DEFAULT-VALUE}).")
  private int iterations;

  @Option(
      names = "--watch-max-kl",
      paramLabel = "NATS",
      description = "Alarm above this mean KL per response (default: none).")
  private Double maxKl;

  @Option(
      names = "--watch-min-length",
      paramLabel = "TOKENS",
      description = "Alarm below this mean length of responses (default: none).")
  private Double minLength;

  @Option(
      names = "--watch-max-length",
      paramLabel = "TOKENS",
      description = "Alarm above this mean length of responses (default: none).")
  private Double maxLength;

  @Option(
      names = "--watch-max-repetition",
      paramLabel = "SHARE",
      description =
          "Alarm above this mean share of a response's 4-grams of tokens that it had before (default: none).")
  private Double maxRepetition;

  @Option(
      names = "--watch-min-distinct",
      paramLabel = "SHARE",
      description =
          "Alarm below this share of the first iteration's distinct-2, the different bigrams of tokens over all (default: none).")
  private Double minDistinct;

  @Option(
      names = "--watch-min-entropy",
      paramLabel = "NATS",
      description = "Alarm below this entropy per token (default: none).")
  private Double minEntropy;

  @Option(
      names = "--watch-max-drift",
      paramLabel = "NATS",
      description =
          "Alarm above this mean difference per token between the sampler's log-probabilities and the training's; above 0.01 the job fails in any case (default: none).")
  private Double maxDrift;

  /** Checks the ranges, and that every option given has a meaning. */
  void validate(Given given, boolean hasWatcher) {
    Given.requireCount(ITERATIONS, iterations);
    requireNotNegative("watch-max-kl", maxKl);
    requireNotNegative("watch-min-length", minLength);
    requireNotNegative("watch-max-length", maxLength);
    requireNotNegative("watch-max-repetition", maxRepetition);
    requireNotNegative("watch-min-distinct", minDistinct);
    requireNotNegative("watch-min-entropy", minEntropy);
    requireNotNegative("watch-max-drift", maxDrift);
    if (ignoresIterations(hasWatcher)) {
      given.refuse(List.of(ITERATIONS), "without --watch-reward no score is compared");
    }
  }

  private static void requireNotNegative(String name, Double value) {
    if (value != null) {
      Given.requireNotNegative(name, value);
    }
  }

  private boolean ignoresIterations(boolean hasWatcher) {
    return !hasWatcher && action != WatchdogSettings.Action.LOWER_LEARNING_RATE;
  }

  /** Names of the options that say nothing about this run. */
  Set<String> outsideIdentity(boolean hasWatcher) {
    return ignoresIterations(hasWatcher) ? Set.of(ITERATIONS) : Set.of();
  }

  WatchdogSettings settings() {
    double infinite = Double.POSITIVE_INFINITY;
    return new WatchdogSettings(
        action,
        iterations,
        new WatchdogSettings.Bounds(
            or(maxKl, infinite),
            or(minLength, 0),
            or(maxLength, infinite),
            or(maxRepetition, infinite),
            or(minDistinct, 0),
            or(minEntropy, 0),
            or(maxDrift, infinite)));
  }

  private static double or(Double given, double none) {
    return given == null ? none : given;
  }
}
