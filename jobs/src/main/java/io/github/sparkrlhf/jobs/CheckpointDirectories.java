package io.github.sparkrlhf.jobs;

import io.github.sparkrlhf.lm.Safetensors;
import io.github.sparkrlhf.training.Checkpoints;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;

/** Where a job keeps its checkpoints. */
final class CheckpointDirectories {
  /** Names of the options about checkpoints, which do not change a result. */
  static final Set<String> OPTIONS = Set.of("checkpoints", "checkpoint-every");

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
