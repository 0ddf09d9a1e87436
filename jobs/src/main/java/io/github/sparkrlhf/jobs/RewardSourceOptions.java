package io.github.sparkrlhf.jobs;

import io.github.sparkrlhf.lm.ModelDirectories;
import io.github.sparkrlhf.ppo.RewardSources;
import io.github.sparkrlhf.reward.RewardModels;
import io.github.sparkrlhf.spark.JobFailure;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import picocli.CommandLine.Option;

/** Where the rewards of responses come from. */
final class RewardSourceOptions {
  private static final Pattern WITH_WEIGHT = Pattern.compile("(.+)=([^=/]*)");

  @Option(
      names = "--reward",
      required = true,
      paramLabel = "DIR[=WEIGHT]",
      description =
          "A reward model of any kind, and what its scaled scores are multiplied with (default: 1). May be repeated; the products are added.")
  private List<String> rewards;

  @Option(
      names = "--shaping",
      paramLabel = "EXPRESSION",
      description =
          "A number added to the scaled score: Spark SQL over prompt, response, tokens (of the response), stopped and repetition (the share of its 4-grams that it had before). May be repeated (default: none).")
  private List<String> shaping;

  @Option(
      names = "--watch-reward",
      paramLabel = "DIR",
      description =
          "A second reward model, best fitted on other pairs, that scores all responses and is never trained against (default: none).")
  private Path watcher;

  /** A model's directory and its weight. */
  private record Source(Path directory, double weight) {
    static Source of(String given) {
      Matcher matcher = WITH_WEIGHT.matcher(given);
      if (!matcher.matches()) {
        return new Source(Path.of(given), 1);
      }
      try {
        double weight = Double.parseDouble(matcher.group(2));
        Given.require(Double.isFinite(weight), "reward", given, "DIR=WEIGHT with a finite number");
        return new Source(Path.of(matcher.group(1)), weight);
      } catch (NumberFormatException e) {
        throw JobFailure.usage(
            "Cannot use --reward " + given + ": '" + matcher.group(2) + "' is no number");
      }
    }
  }

  /** Checks weights. */
  void validate() {
    sources();
  }

  private List<Source> sources() {
    return rewards.stream().map(Source::of).toList();
  }

  /** The directory of the first model. */
  Path first() {
    return sources().get(0).directory();
  }

  boolean hasWatcher() {
    return watcher != null;
  }

  /** Digests of all models. */
  List<String> fingerprints() {
    List<String> fingerprints = new ArrayList<>();
    sources().forEach(source -> fingerprints.add(ModelDirectories.digest(source.directory())));
    if (watcher != null) {
      fingerprints.add(ModelDirectories.digest(watcher));
    }
    return fingerprints;
  }

  /** The models, read. */
  RewardSources load() {
    List<RewardSources.Weighted> models = new ArrayList<>();
    Set<String> names = new HashSet<>();
    for (Source source : sources()) {
      String name = String.valueOf(source.directory().getFileName());
      String unique = names.add(name) ? name : name + "-" + (models.size() + 1);
      models.add(
          new RewardSources.Weighted(
              unique, RewardModels.load(source.directory()), source.weight()));
    }
    return new RewardSources(
        models,
        Optional.ofNullable(watcher).map(RewardModels::load),
        shaping == null ? List.of() : shaping);
  }

  /** As a provenance names them. */
  String described() {
    return String.join(", ", rewards);
  }
}
