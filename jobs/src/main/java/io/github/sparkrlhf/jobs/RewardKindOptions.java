package io.github.sparkrlhf.jobs;

import io.github.sparkrlhf.lm.ModelDirectories;
import io.github.sparkrlhf.reward.AnnotatorOffsets;
import io.github.sparkrlhf.reward.BradleyTerryTrainer;
import io.github.sparkrlhf.reward.EnsembleModel;
import io.github.sparkrlhf.reward.EnsembleTrainer;
import io.github.sparkrlhf.reward.FeatureBlock;
import io.github.sparkrlhf.reward.ForestTrainer;
import io.github.sparkrlhf.reward.HiddenStates;
import io.github.sparkrlhf.reward.MlpTrainer;
import io.github.sparkrlhf.reward.PipelineRewardModel;
import io.github.sparkrlhf.reward.RewardModel;
import io.github.sparkrlhf.reward.RewardModels;
import io.github.sparkrlhf.reward.RewardTrainer;
import io.github.sparkrlhf.spark.JobFailure;
import java.io.PrintStream;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import picocli.CommandLine.Option;

/** What the kinds of reward model without tokens are made of. */
final class RewardKindOptions {
  private static final Set<String> FOREST =
      Set.of("trees", "max-depth", "min-rows-per-leaf", "buckets", "ratings", "offset-ridge");

  private static final Set<String> ALL =
      Set.of(
          "regularization",
          "features",
          "states-model",
          "weigh-pairs",
          "trees",
          "max-depth",
          "min-rows-per-leaf",
          "step-size",
          "buckets",
          "hidden",
          "ratings",
          "offset-ridge",
          "members",
          "rule",
          "variance-coefficient",
          "pipeline");

  @Option(
      names = "--regularization",
      paramLabel = "LAMBDA",
      defaultValue = "5e-4",
      description = "bradley-terry: strength of the L2 penalty (default: ${DEFAULT-VALUE}).")
  private double regularization;

  @Option(
      names = "--features",
      paramLabel = "LIST",
      defaultValue = FeatureBlock.DEFAULT,
      description =
          "bradley-terry: what it reads, as NAME:FROM-TO*WEIGHT: style, readability, discourse and states (numbers; see --states-model), curves (those numbers as piecewise linear curves), words:1-2 and characters:3-5 (hashed n-grams of the response), crossings:16 (words of the response with that many of the prompt) (default: ${DEFAULT-VALUE}).")
  private String features;

  @Option(
      names = "--states-model",
      paramLabel = "DIR",
      description =
          "bradley-terry: the model, a language model or a transformer reward model, whose mean hidden states over the response --features states reads; it is copied into the reward model.")
  private Path statesModel;

  @Option(
      names = "--weigh-pairs",
      description =
          "bradley-terry: a pair counts by its column weight, how far its votes can be trusted (default: all count the same).")
  private boolean weighPairs;

  @Option(
      names = "--trees",
      paramLabel = "N",
      defaultValue = "100",
      description = "random-forest, gradient-boosted: number of trees (default: ${DEFAULT-VALUE}).")
  private int trees;

  @Option(
      names = "--max-depth",
      paramLabel = "SPLITS",
      description =
          "random-forest, gradient-boosted: splits between a root and its leaves, at most (default: 8 and 3).")
  private Integer maxDepth;

  @Option(
      names = "--min-rows-per-leaf",
      paramLabel = "RESPONSES",
      defaultValue = "5",
      description =
          "random-forest, gradient-boosted: responses that a leaf must hold (default: ${DEFAULT-VALUE}).")
  private int minRowsPerLeaf;

  @Option(
      names = "--step-size",
      paramLabel = "SHARE",
      defaultValue = "0.1",
      description =
          "gradient-boosted: how much of a tree's correction is taken, above 0 and at most 1 (default: ${DEFAULT-VALUE}).")
  private double stepSize;

  @Option(
      names = "--buckets",
      paramLabel = "N",
      defaultValue = "0",
      description =
          "random-forest, gradient-boosted, mlp: hash buckets for words beside the numbers about style (default: ${DEFAULT-VALUE}).")
  private int buckets;

  @Option(
      names = "--hidden",
      paramLabel = "WIDTH",
      split = ",",
      defaultValue = "32",
      description =
          "mlp: width of each hidden layer, one or two, such as 32,16 (default: ${DEFAULT-VALUE}).")
  private List<Integer> hidden;

  @Option(
      names = "--ratings",
      description =
          "random-forest, gradient-boosted, mlp: learn from the ratings of the run instead of shares of wins in its pairs.")
  private boolean ratings;

  @Option(
      names = "--offset-ridge",
      paramLabel = "LAMBDA",
      defaultValue = "1",
      description =
          "With --ratings: penalty on how far an annotator rates above or below others; 0 takes ratings as they are (default: ${DEFAULT-VALUE}).")
  private double offsetRidge;

  @Option(
      names = "--members",
      paramLabel = "DIR",
      split = ",",
      description = "ensemble: directories of the reward models, of any kind.")
  private List<Path> members;

  @Option(
      names = "--rule",
      paramLabel = "RULE",
      defaultValue = "mean",
      description =
          "ensemble: what becomes of the members' standardised scores: mean, minimum or mean-minus-variance (default: ${DEFAULT-VALUE}).")
  private String rule;

  @Option(
      names = "--variance-coefficient",
      paramLabel = "C",
      defaultValue = "1",
      description =
          "ensemble by mean-minus-variance: what a variance of 1 costs (default: ${DEFAULT-VALUE}).")
  private double varianceCoefficient;

  @Option(
      names = "--pipeline",
      paramLabel = "DIR",
      description =
          "pipeline: directory of a fitted Spark ML pipeline or transformer that adds a number named score to prompt and response.")
  private Path pipeline;

  /** Names of the options here that say nothing about a kind. */
  static Set<String> ignoredBy(RewardKind kind) {
    Set<String> names = new TreeSet<>(ALL);
    switch (kind) {
      case BRADLEY_TERRY ->
          names.removeAll(Set.of("regularization", "features", "states-model", "weigh-pairs"));
      case RANDOM_FOREST -> names.removeAll(FOREST);
      case GRADIENT_BOOSTED -> {
        names.removeAll(FOREST);
        names.remove("step-size");
      }
      case MLP -> names.removeAll(Set.of("buckets", "hidden", "ratings", "offset-ridge"));
      case ENSEMBLE -> names.removeAll(Set.of("members", "rule", "variance-coefficient"));
      case PIPELINE -> names.remove("pipeline");
      case TRANSFORMER -> {}
    }
    return names;
  }

  /** Checks the options of a kind other than the transformer. */
  void validate(RewardKind kind, Given given, TrainingOptions training) {
    Given.requireNotNegative("regularization", regularization);
    boolean states =
        FeatureBlock.parse(features).stream()
            .anyMatch(block -> block.kind() == FeatureBlock.Kind.STATES);
    if (states && statesModel == null) {
      throw JobFailure.usage("Cannot use features '" + features + "': give --states-model");
    }
    if (!states) {
      given.refuse(Set.of("states-model"), "it is about --features states");
    }
    Given.requireCount("trees", trees);
    if (maxDepth != null) {
      Given.require(
          maxDepth >= 1 && maxDepth <= ForestTrainer.MAX_DEPTH,
          "max-depth",
          maxDepth,
          "between 1 and " + ForestTrainer.MAX_DEPTH);
    }
    Given.requireCount("min-rows-per-leaf", minRowsPerLeaf);
    Given.require(
        stepSize > 0 && stepSize <= 1, "step-size", stepSize, "greater than 0 and at most 1");
    Given.require(
        buckets >= 0 && buckets <= RewardModels.MAX_BUCKETS,
        "buckets",
        buckets,
        "between 0 and " + RewardModels.MAX_BUCKETS);
    Given.require(
        hidden.size() <= MlpTrainer.MAX_HIDDEN_LAYERS
            && hidden.stream().allMatch(width -> width >= 1 && width <= MlpTrainer.MAX_WIDTH),
        "hidden",
        hidden,
        "one or two widths between 1 and " + MlpTrainer.MAX_WIDTH);
    Given.requireNotNegative("offset-ridge", offsetRidge);
    Given.requireNotNegative("variance-coefficient", varianceCoefficient);
    if (!ratings) {
      given.refuse(Set.of("offset-ridge"), "it is about --ratings");
    }
    if (kind == RewardKind.MLP) {
      training.defaultEpochs(given, MlpTrainer.DEFAULT_EPOCHS);
      training.validate();
    }
    if (kind == RewardKind.ENSEMBLE) {
      if (members == null) {
        throw JobFailure.usage("Cannot make an ensemble: give --members");
      }
      if (ensembleRule() != EnsembleModel.Rule.MEAN_MINUS_VARIANCE) {
        given.refuse(Set.of("variance-coefficient"), "it is about --rule mean-minus-variance");
      }
    }
    if (kind == RewardKind.PIPELINE && pipeline == null) {
      throw JobFailure.usage("Cannot take a pipeline: give --pipeline");
    }
  }

  /** Whether a language model is among what the model reads. */
  boolean readsStates() {
    return statesModel != null;
  }

  /** Whether the model learns from ratings. */
  boolean ratings() {
    return ratings;
  }

  /** What an annotator's habit is taken to be. */
  AnnotatorOffsets offsets(Dataset<Row> rows) {
    return offsetRidge == 0 ? AnnotatorOffsets.none() : AnnotatorOffsets.fit(rows, offsetRidge);
  }

  /** Digests of the models that go into a model of this kind. */
  List<String> fingerprints(RewardKind kind) {
    List<String> digests = new ArrayList<>();
    if (kind == RewardKind.ENSEMBLE) {
      members.forEach(member -> digests.add(ModelDirectories.digest(member)));
    }
    if (kind == RewardKind.BRADLEY_TERRY && statesModel != null) {
      digests.add(ModelDirectories.digest(statesModel));
    }
    if (kind == RewardKind.PIPELINE) {
      digests.add(ModelDirectories.digest(pipeline));
    }
    return digests;
  }

  /** What fits a model of a kind other than the transformer. */
  RewardTrainer trainer(RewardKind kind, TrainingOptions training, PrintStream out) {
    return switch (kind) {
      case BRADLEY_TERRY ->
          new BradleyTerryTrainer()
              .setRegularization(regularization)
              .setFeatures(FeatureBlock.parse(features))
              .setStates(statesModel == null ? HiddenStates.NONE : HiddenStates.load(statesModel))
              .setWeighted(weighPairs);
      case RANDOM_FOREST -> forest(ForestTrainer.randomForest(), training.seed());
      case GRADIENT_BOOSTED ->
          forest(ForestTrainer.gradientBoosted(), training.seed()).setStepSize(stepSize);
      case MLP ->
          new MlpTrainer(hidden, buckets, training.shuffledLanes(), training.settings(), out);
      case ENSEMBLE -> {
        List<RewardTrainer> loaded = new ArrayList<>();
        for (Path member : members) {
          RewardModel model = RewardModels.load(member);
          loaded.add(pairs -> model);
        }
        yield new EnsembleTrainer(loaded, ensembleRule(), varianceCoefficient);
      }
      case PIPELINE -> {
        RewardModel model = PipelineRewardModel.read(pipeline);
        yield pairs -> model;
      }
      case TRANSFORMER -> throw new IllegalArgumentException("a transformer has its own options");
    };
  }

  private ForestTrainer forest(ForestTrainer trainer, long seed) {
    if (maxDepth != null) {
      trainer.setMaxDepth(maxDepth);
    }
    return trainer
        .setTrees(trees)
        .setMinRowsPerLeaf(minRowsPerLeaf)
        .setBuckets(buckets)
        .setSeed(seed);
  }

  private EnsembleModel.Rule ensembleRule() {
    for (EnsembleModel.Rule each : EnsembleModel.Rule.values()) {
      if (EnsembleModel.label(each).equals(rule)) {
        return each;
      }
    }
    throw JobFailure.usage(
        "Cannot use --rule " + rule + ": it must be mean, minimum or mean-minus-variance");
  }
}
