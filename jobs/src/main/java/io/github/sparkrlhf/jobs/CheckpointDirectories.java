package io.github.sparkrlhf.jobs;

import io.github.sparkrlhf.lm.Safetensors;
import io.github.sparkrlhf.training.Checkpoints;
import java.nio.file.Path;
import java.util.List;

/** Where a job keeps its checkpoints. */
final class CheckpointDirectories {
  private CheckpointDirectories() {}

  /** The chosen directory, or {@code <output>.checkpoints} beside the output. */
  static Path path(Path chosen, Path output) {
    if (chosen != null) {
      return chosen;
    }
    Path target = output.toAbsolutePath();
    return target.resolveSibling(target.getFileName() + ".checkpoints");
  }

  /** Checkpoints that belong to the run's configuration and no other. */
  static Checkpoints of(
      Path chosen, Path output, JobContext context, List<Safetensors.Tensor> parameters) {
    return new Checkpoints(
        path(chosen, output),
        context.run().configurationDigest(),
        parameters,
        Checkpoints.DEFAULT_KEPT);
  }
}
