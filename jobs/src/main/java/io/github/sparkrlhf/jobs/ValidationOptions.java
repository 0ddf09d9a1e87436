package io.github.sparkrlhf.jobs;

import io.github.sparkrlhf.training.Validation;
import java.util.Set;
import picocli.CommandLine.Option;

/** When a training is measured on held-out rows, and when it stops because of that. */
final class ValidationOptions {
  /** Names of these options. */
  static final Set<String> NAMES = Set.of("validate-every", "early-stop");

  @Option(
      names = "--validate-every",
      paramLabel = "STEPS",
      description =
          "Steps between two measurements on the held-out rows; there is also one before the first step and one after the last (default: an epoch).")
  private Integer validateEvery;

  @Option(
      names = "--early-stop",
      paramLabel = "N",
      description =
          "Stop when N measurements in a row (epochs, without --validate-every) have brought no new lowest loss on the held-out rows, and write the model of the lowest (default: never, the model after the last step is written).")
  private Integer earlyStop;

  /** Checks the ranges. */
  void validate() {
    if (validateEvery != null) {
      Given.requireCount("validate-every", validateEvery);
    }
    if (earlyStop != null) {
      Given.requireCount("early-stop", earlyStop);
    }
  }

  boolean stopsEarly() {
    return earlyStop != null;
  }

  Validation.Settings settings() {
    return new Validation.Settings(
        validateEvery == null ? 0 : validateEvery, earlyStop == null ? 0 : earlyStop);
  }
}
