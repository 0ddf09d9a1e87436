package io.github.sparkrlhf.jobs;

import io.github.sparkrlhf.lm.WeightType;
import picocli.CommandLine.Option;

/** How the weights of a model are written. */
final class WeightOptions {
  /** Name of the option. */
  static final String NAME = "dtype";

  @Option(
      names = "--" + NAME,
      paramLabel = "F32|BF16",
      defaultValue = "F32",
      description =
          "Type of the weights in the model directory; BF16 is half the size and rounds to nearest even (default: ${DEFAULT-VALUE}).")
  private WeightType type;

  WeightType type() {
    return type;
  }
}
