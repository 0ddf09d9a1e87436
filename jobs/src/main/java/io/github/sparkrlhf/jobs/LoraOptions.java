package io.github.sparkrlhf.jobs;

import io.github.sparkrlhf.lm.AdapterDirectory;
import io.github.sparkrlhf.lm.LanguageModel;
import io.github.sparkrlhf.lm.Lora;
import io.github.sparkrlhf.lm.ModelDirectories;
import io.github.sparkrlhf.lm.WeightType;
import io.github.sparkrlhf.training.Trainables;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import org.apache.spark.api.java.JavaSparkContext;
import picocli.CommandLine.Option;

/** Whether all weights are trained or low-rank adapters on them, and what is written then. */
final class LoraOptions {
  /** Names of all these options. */
  static final Set<String> NAMES = Set.of("lora-rank", "lora-alpha", "lora-targets", "lora-merge");

  @Option(
      names = "--lora-rank",
      paramLabel = "R",
      description =
          "Train low-rank adapters of this rank and leave the model as it is (default: none, all weights are trained).")
  private Integer rank;

  @Option(
      names = "--lora-alpha",
      paramLabel = "ALPHA",
      description = "The adapters' product is scaled by ALPHA / R (default: 2 R).")
  private Double alpha;

  @Option(
      names = "--lora-targets",
      paramLabel = "NAME",
      split = ",",
      defaultValue = Lora.ALL_LINEAR,
      description =
          "Projections that get adapters, such as q_proj,v_proj, or all-linear (default: ${DEFAULT-VALUE}).")
  private List<String> targets;

  @Option(
      names = "--lora-merge",
      description =
          "Write the whole model, its adapters merged (default: the adapters alone, as PEFT does).")
  private boolean merge;

  /** Checks the ranges, and that every option given has a meaning. */
  void validate(Given given) {
    if (rank == null) {
      Set<String> others = new TreeSet<>(NAMES);
      others.remove("lora-rank");
      given.refuse(others, "without --lora-rank all weights are trained");
      return;
    }
    Given.requireCount("lora-rank", rank);
    if (alpha != null) {
      Given.requirePositive("lora-alpha", alpha);
    }
    if (!merge) {
      given.refuse(Set.of(WeightOptions.NAME), "adapters are written as F32; give --lora-merge");
    }
  }

  /** Refuses adapters on a model that stands nowhere. */
  void validate(Given given, Path model) {
    validate(given);
    if (model == null) {
      given.refuse(Set.of("lora-rank"), "a new model has nothing to adapt; give --model");
    }
  }

  /** Refuses adapters that are not merged. */
  void requireMerged(Given given, String why) {
    if (!merge) {
      given.refuse(Set.of("lora-rank"), why + "; give --lora-merge");
    }
  }

  /** Names of the options that say nothing about this run. */
  Set<String> outsideIdentity() {
    return rank == null ? NAMES : Set.of();
  }

  /** What is trained of a model; the caller closes it. */
  Trainables trainables(
      JavaSparkContext context, long seed, List<Path> directories, LanguageModel... models) {
    if (rank == null) {
      return Trainables.all(models);
    }
    if (!merge) {
      for (int i = 0; i < models.length; i++) {
        AdapterDirectory.requireBase(directories.get(i), models[i]);
      }
    }
    Lora lora = new Lora(rank, alpha == null ? 2.0 * rank : alpha, targets);
    return Trainables.adapters(context, lora, seed, models);
  }

  /**
   * The files of a trained model: its adapters, or all of it.
   *
   * @param directory where the model before training stands
   * @param trained the model after training
   * @param type of the weights of a whole model; adapters are F32
   */
  ModelDirectories.Writer files(
      Trainables trainables,
      int model,
      float[] weights,
      Path directory,
      LanguageModel trained,
      WeightType type) {
    return rank == null || merge
        ? files -> trained.writeFiles(files, type)
        : trainables.adapterFiles(model, weights, directory);
  }

  /** Puts into a provenance what reading the adapters needs. */
  void addBase(Map<String, Object> provenance, Path directory) {
    if (rank != null && !merge) {
      provenance.put(AdapterDirectory.BASE_DIGEST, ModelDirectories.digest(directory));
    }
  }
}
