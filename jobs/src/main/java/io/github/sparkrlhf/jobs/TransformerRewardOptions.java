package io.github.sparkrlhf.jobs;

import io.github.sparkrlhf.lm.LanguageModel;
import io.github.sparkrlhf.lm.TransformerConfig;
import io.github.sparkrlhf.reward.PairwiseSettings;
import io.github.sparkrlhf.reward.Rankings;
import io.github.sparkrlhf.reward.RewardModel;
import io.github.sparkrlhf.reward.RewardTrainer;
import io.github.sparkrlhf.reward.TieModel;
import io.github.sparkrlhf.reward.TransformerRewardModel;
import io.github.sparkrlhf.reward.TransformerRewardTrainer;
import io.github.sparkrlhf.spark.JobFailure;
import io.github.sparkrlhf.training.Checkpoints;
import io.github.sparkrlhf.training.Trainables;
import io.github.sparkrlhf.training.Trainer;
import java.io.PrintStream;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Function;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** How a transformer becomes a reward model. */
final class TransformerRewardOptions {
  @Option(
      names = "--margin-scale",
      paramLabel = "FACTOR",
      defaultValue = "0",
      description =
          "transformer: the pairs' margins times this are the margin of the loss (default: ${DEFAULT-VALUE}, no margin).")
  private double marginScale;

  @Option(
      names = "--centering",
      paramLabel = "COEFFICIENT",
      defaultValue = "0",
      description =
          "transformer: COEFFICIENT times the squared sum of a pair's scores is added to the loss, so that scores stay around 0 (default: ${DEFAULT-VALUE}).")
  private double centering;

  @Option(
      names = "--ties",
      paramLabel = "RULE",
      description =
          "transformer: how ties enter the loss, rao-kupper or davidson (default: as half a vote for each response).")
  private TieModel.Rule ties;

  @Option(
      names = "--tie-parameter",
      paramLabel = "NUMBER",
      description =
          "transformer with --ties: the threshold of rao-kupper or the strength of ties of davidson, above 0 (default: what fits the share of ties if all responses are equally good).")
  private Double tieParameter;

  @Option(
      names = "--listwise",
      description =
          "transformer: learn from the run's rankings as wholes, by Plackett and Luce, instead of from pairs (default: no).")
  private boolean listwise;

  @Mixin private ModelOptions model;
  @Mixin private LoraOptions lora;
  @Mixin private WeightOptions written;
  @Mixin private ValidationOptions validation;

  /** Names of the options here. */
  static Set<String> names() {
    Set<String> names = new TreeSet<>();
    names.addAll(ModelOptions.SOURCES);
    names.addAll(ModelOptions.SIZES);
    names.addAll(LoraOptions.NAMES);
    names.addAll(ValidationOptions.NAMES);
    names.addAll(Set.of("margin-scale", "centering", "ties", "tie-parameter", "listwise"));
    names.add(WeightOptions.NAME);
    return names;
  }

  void validate(Given given, TrainingOptions training) {
    model.validate(given);
    training.validate();
    lora.validate(given, model.directory());
    validation.validate();
    Given.requireNotNegative("margin-scale", marginScale);
    Given.requireNotNegative("centering", centering);
    if (listwise) {
      given.refuse(
          Set.of("margin-scale", "centering", "ties", "labels", "disjoint-halves"),
          "it is about pairs, and --listwise learns from rankings");
    }
    if (ties == null) {
      given.refuse(Set.of("tie-parameter"), "it is about --ties");
    } else if (tieParameter != null) {
      Given.requirePositive("tie-parameter", tieParameter);
    }
  }

  /** Names of the options that say nothing about this run. */
  Set<String> outsideIdentity() {
    Set<String> names = new TreeSet<>(model.outsideIdentity());
    names.addAll(lora.outsideIdentity());
    return names;
  }

  List<String> fingerprints() {
    return model.fingerprints();
  }

  /** Puts into a provenance what reading adapters needs. */
  void addBase(Map<String, Object> provenance) {
    lora.addBase(provenance, model.directory());
  }

  /**
   * What fits a model without checkpoints and without looking at other pairs.
   *
   * @param out where progress is told
   */
  RewardTrainer trainer(JobContext context, TrainingOptions training, PrintStream out) {
    return pairs ->
        withTrainables(
            context,
            training,
            trainables -> trainer(trainables, training, pairs).withoutCheckpoints(out).fit(pairs));
  }

  /**
   * Fits the model of a job.
   *
   * @param train pairs to learn from
   * @param heldOut pairs to measure the loss on; may be empty
   * @param comparisons of the same run; with --listwise their rankings take the place of pairs
   * @param output its directory
   * @param summary to which is added what a round moves, and how the training ended
   */
  RewardModel fit(
      JobContext context,
      TrainingOptions training,
      Dataset<Row> train,
      Dataset<Row> heldOut,
      Dataset<Row> comparisons,
      Path output,
      Map<String, Object> summary) {
    Dataset<Row> rankings = listwise ? Rankings.of(comparisons) : null;
    Dataset<Row> learned = listwise ? rankings.where("split = 'train'") : train;
    Dataset<Row> measured = listwise ? rankings.where("split = 'validation'") : heldOut;
    if (learned.isEmpty()) {
      throw JobFailure.dataQuality(
          "Cannot fit a reward model to rankings: the split train has none");
    }
    return withTrainables(
        context,
        training,
        trainables -> {
          context.out().println(trainables.describeTraffic());
          summary.putAll(trainables.traffic());
          TransformerRewardTrainer trainer = trainer(trainables, training, train);
          if (!measured.isEmpty()) {
            trainer.optValidation(measured, validation.settings());
          } else if (validation.stopsEarly()) {
            throw JobFailure.dataQuality(
                "Cannot stop early: there is nothing in the split validation");
          }
          Checkpoints checkpoints =
              training.checkpoints(output, context, trainables.layout(0).tensors(""));
          Trainer.Result result =
              listwise
                  ? trainer.fitRankings(learned, checkpoints, context.out())
                  : trainer.fit(learned, checkpoints, context.out());
          if (result.measured() != null) {
            summary.put("model_step", result.measured().step());
            summary.put("validation_loss", result.measured().loss());
          }
          LanguageModel fitted = trainables.model(0, result.weights());
          return new TransformerRewardModel(
              fitted,
              lora.files(
                  trainables, 0, result.weights(), model.directory(), fitted, written.type()));
        });
  }

  private <R> R withTrainables(
      JobContext context, TrainingOptions training, Function<Trainables, R> function) {
    LanguageModel initial =
        model.load(TransformerConfig.Head.SEQUENCE_CLASSIFICATION, training.seed());
    JavaSparkContext spark = JavaSparkContext.fromSparkContext(context.spark().sparkContext());
    try (Trainables trainables =
        lora.trainables(spark, training.seed(), Arrays.asList(model.directory()), initial)) {
      return function.apply(trainables);
    }
  }

  private TransformerRewardTrainer trainer(
      Trainables trainables, TrainingOptions training, Dataset<Row> pairs) {
    return new TransformerRewardTrainer(
        trainables,
        training.lanes(),
        training.settings(),
        new PairwiseSettings(marginScale, centering, tieModel(pairs)));
  }

  private TieModel tieModel(Dataset<Row> pairs) {
    if (ties == null) {
      return null;
    }
    if (tieParameter != null) {
      return new TieModel(ties, tieParameter);
    }
    double share =
        pairs
            .selectExpr("cast(avg(cast(tie_probability AS DECIMAL(20, 18))) AS DOUBLE)")
            .first()
            .getDouble(0);
    if (!(share > 0 && share < 1)) {
      throw JobFailure.dataQuality(
          "Cannot estimate --tie-parameter: the share of ties in the training pairs is " + share);
    }
    return TieModel.ofShare(ties, share);
  }
}
