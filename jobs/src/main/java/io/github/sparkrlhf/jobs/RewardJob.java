package io.github.sparkrlhf.jobs;

import static org.apache.spark.sql.functions.expr;

import io.github.sparkrlhf.lm.ModelDirectories;
import io.github.sparkrlhf.reward.DisjointHalves;
import io.github.sparkrlhf.reward.RatingEvaluation;
import io.github.sparkrlhf.reward.RegressionTrainer;
import io.github.sparkrlhf.reward.RewardEvaluation;
import io.github.sparkrlhf.reward.RewardModel;
import io.github.sparkrlhf.reward.RewardModels;
import io.github.sparkrlhf.reward.RewardTrainer;
import io.github.sparkrlhf.reward.TieEvaluation;
import io.github.sparkrlhf.spark.JobFailure;
import io.github.sparkrlhf.tables.Run;
import io.github.sparkrlhf.tables.Table;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Fits a reward model to pairs and measures it on the splits. */
@Command(
    name = "reward",
    description =
        "Fits a reward model to the training split of a run of pairs, and measures it on every split beside the rule that prefers the longer response.")
final class RewardJob extends JobCommand {
  private static final List<String> SHOWN =
      List.of(
          RewardEvaluation.ACCURACY,
          RewardEvaluation.ACCURACY_ALWAYS_LONGER,
          "lift_over_longer",
          "share_of_ceiling",
          RewardEvaluation.LOG_LOSS,
          RewardEvaluation.ECE,
          "ece_temperature",
          "ece_isotonic",
          "half_agreement");

  @Option(
      names = "--pairs-run",
      paramLabel = "ID",
      description =
          "The run of pairs to learn from (default: the only complete one; an error if there are several).")
  private String pairsRun;

  @Option(
      names = "--kind",
      paramLabel = "KIND",
      defaultValue = "bradley-terry",
      description =
          "bradley-terry: logistic regression on differences of text features. random-forest, gradient-boosted, mlp: regression of a response's share of wins, or its rating, on its features. transformer: a transformer with a scalar head. ensemble: several models as one. pipeline: a Spark ML pipeline of yours (default: ${DEFAULT-VALUE}).")
  private RewardKind kind;

  @Option(
      names = "--output",
      required = true,
      paramLabel = "DIR",
      description = "The model directory to write; must not exist yet.")
  private Path output;

  @Option(
      names = "--disjoint-halves",
      description =
          "Also fit one model of each half of the training pairs, and measure how often the two agree (default: no).")
  private boolean disjointHalves;

  @Option(
      names = "--half",
      paramLabel = "1|2",
      description =
          "Fit on this half of the training pairs; a prompt lies in one half. A model of the other half can watch a training against this one (default: all training pairs).")
  private Integer half;

  @Option(
      names = "--plots",
      paramLabel = "DIR",
      description =
          "Draw reliability.png and accuracy.png into this directory (default: no plots).")
  private Path plots;

  @Option(
      names = "--labels",
      paramLabel = "LABELS",
      defaultValue = "probability",
      description =
          "What a pair is taken to say: probability (the estimated probability that each response is the better one), vote-share (the share of its votes) or majority (of its votes; even votes are half for each) (default: ${DEFAULT-VALUE}).")
  private PairLabels labels;

  @Mixin private RewardKindOptions kinds;
  @Mixin private TransformerRewardOptions transformer;
  @Mixin private TrainingOptions training;

  private String resolvedRun;

  @Override
  protected void validate(Given given) {
    given.refuse(ignored(), "it is no option of --kind " + kind);
    if (half != null) {
      Given.require(half == 1 || half == 2, "half", half, "1 or 2");
      given.refuse(Set.of("ratings", "listwise"), "--half is of pairs");
    }
    if (kind == RewardKind.TRANSFORMER) {
      transformer.validate(given, training);
    } else {
      kinds.validate(kind, given, training);
    }
  }

  @Override
  protected Set<String> optionsOutsideIdentity() {
    Set<String> names = new TreeSet<>(ignored());
    names.addAll(CheckpointDirectories.OPTIONS);
    if (kind == RewardKind.TRANSFORMER) {
      names.addAll(transformer.outsideIdentity());
    }
    // The run that it means is among the inputs, whether it is named or the only one.
    names.add("pairs-run");
    names.add("plots");
    return names;
  }

  /** Names of the options that other kinds have. */
  private Set<String> ignored() {
    Set<String> names = new TreeSet<>(RewardKindOptions.ignoredBy(kind));
    if (kind == RewardKind.TRANSFORMER) {
      return names;
    }
    names.addAll(TransformerRewardOptions.names());
    if (kind == RewardKind.MLP) {
      names.addAll(CheckpointDirectories.OPTIONS);
      return names;
    }
    names.addAll(TrainingOptions.NAMES);
    if (kind == RewardKind.RANDOM_FOREST || kind == RewardKind.GRADIENT_BOOSTED) {
      names.remove("seed");
    }
    return names;
  }

  @Override
  protected List<Path> outputs() {
    return List.of(output);
  }

  @Override
  protected List<String> lostOutputs(SparkSession spark, Run run) {
    List<String> lost = new ArrayList<>(super.lostOutputs(spark, run));
    if (plots != null) {
      RewardPlots.files(plots).stream()
          .filter(Files::notExists)
          .map(Path::toString)
          .forEach(lost::add);
    }
    return lost;
  }

  @Override
  protected boolean usesTransformers() {
    return Set.of(RewardKind.TRANSFORMER, RewardKind.MLP, RewardKind.ENSEMBLE).contains(kind)
        || kinds.readsStates();
  }

  @Override
  protected List<String> inputFingerprints(JobContext context) {
    Table learned = kinds.ratings() ? Table.RATINGS : Table.PAIRS;
    resolvedRun = context.tables().resolveRun(learned, pairsRun);
    List<String> fingerprints = new ArrayList<>(List.of("pairs of run " + resolvedRun));
    fingerprints.addAll(fingerprints());
    return fingerprints;
  }

  @Override
  protected Map<String, Object> execute(JobContext context) {
    ModelDirectories.requireFree(output, context.run().id());
    Dataset<Row> all = context.tables().rows(Table.PAIRS, resolvedRun);
    Dataset<Row> pairs =
        half == null ? all : all.filter(expr("split <> 'train'").or(DisjointHalves.contains(half)));
    Dataset<Row> train = pairs.filter("split = 'train'");
    if (train.isEmpty() && !kinds.ratings()) {
      throw JobFailure.dataQuality(
          "Cannot fit a reward model: run " + resolvedRun + " has no pairs in the split train");
    }
    Map<String, Object> ofTraining = new LinkedHashMap<>();
    RewardModel fitted = fitted(context, pairs, ofTraining);
    String name = output.getFileName().toString();
    RewardEvaluation evaluation = evaluation(context, fitted, name, pairs);
    context.run().write(Table.RELIABILITY, evaluation.reliability());
    context.run().write(Table.REWARD_METRICS, metrics(context, fitted, name, pairs, evaluation));
    List<Row> metrics =
        context
            .run()
            .rows(Table.REWARD_METRICS)
            .where(RewardEvaluation.WHOLE_SPLITS)
            .orderBy("metric", "split")
            .collectAsList();
    Map<String, Object> summary = summary(metrics);
    summary.putAll(ofTraining);
    Map<String, Object> provenance = new LinkedHashMap<>(summary);
    provenance.put(ModelDirectories.RUN_ID, context.run().id());
    provenance.put("job", "reward");
    provenance.put("inputs", context.inputs());
    transformer.addBase(provenance);
    RewardModels.save(fitted, evaluation.calibration().orElse(null), output, provenance);
    print(context, metrics);
    if (plots != null) {
      RewardPlots.draw(context.run(), plots);
    }
    context.out().println("Model in " + output);
    return summary;
  }

  /**
   * The job with options such as {@code --kind mlp --hidden 16}, as one of several that are
   * compared.
   *
   * @throws JobFailure usage, if they are no options of it
   */
  static RewardJob candidate(String name, List<String> options) {
    RewardJob job = new RewardJob();
    List<String> all = new ArrayList<>(options);
    all.addAll(List.of("--output", name));
    try {
      Given given = new Given(new CommandLine(job).parseArgs(all.toArray(String[]::new)));
      job.validate(given);
      given.refuse(
          Set.of("ratings", "listwise", "half", "pairs-run", "checkpoints"),
          "candidates learn from folds");
    } catch (CommandLine.ParameterException e) {
      throw JobFailure.usage("Cannot compare candidate '" + name + "': " + e.getMessage());
    }
    return job;
  }

  /** The kind of model that the job fits. */
  RewardKind kind() {
    return kind;
  }

  /** What the model is made of besides pairs. */
  List<String> fingerprints() {
    List<String> fingerprints = new ArrayList<>(kinds.fingerprints(kind));
    if (kind == RewardKind.TRANSFORMER) {
      fingerprints.addAll(transformer.fingerprints());
    }
    return fingerprints;
  }

  /**
   * What fits a model as the job does, but without checkpoints and validation.
   *
   * @param out where progress is told
   */
  RewardTrainer trainer(JobContext context, PrintStream out) {
    return labels.learnedBy(
        kind == RewardKind.TRANSFORMER
            ? transformer.trainer(context, training, out)
            : kinds.trainer(kind, training, out));
  }

  private RewardEvaluation evaluation(
      JobContext context, RewardModel fitted, String name, Dataset<Row> pairs) {
    return RewardEvaluation.of(
        fitted, name, pairs, context.tables().rows(Table.COMPARISONS, resolvedRun));
  }

  private Dataset<Row> metrics(
      JobContext context,
      RewardModel fitted,
      String name,
      Dataset<Row> pairs,
      RewardEvaluation evaluation) {
    Dataset<Row> metrics = evaluation.metrics();
    if (!pairs.where("tie_probability > 0").isEmpty()) {
      metrics = metrics.unionByName(TieEvaluation.metrics(fitted, name, pairs));
    }
    if (kinds.ratings()) {
      Dataset<Row> ratings = context.tables().rows(Table.RATINGS, resolvedRun);
      metrics = metrics.unionByName(RatingEvaluation.metrics(fitted, name, ratings, "group_key"));
    }
    return disjointHalves
        ? metrics.union(
            DisjointHalves.metrics(
                trainer(context, context.out()),
                name,
                pairs.filter("split = 'train'"),
                pairs.filter("split <> 'train'")))
        : metrics;
  }

  private RewardModel fitted(
      JobContext context, Dataset<Row> pairs, Map<String, Object> ofTraining) {
    if (kinds.ratings()) {
      RewardTrainer trainer = kinds.trainer(kind, training, context.out());
      Dataset<Row> ratings =
          context.tables().rows(Table.RATINGS, resolvedRun).filter("split = 'train'");
      return ((RegressionTrainer) trainer).fitRatings(ratings, kinds.offsets(ratings));
    }
    Dataset<Row> train = pairs.filter("split = 'train'");
    if (kind != RewardKind.TRANSFORMER) {
      return trainer(context, context.out()).fit(train);
    }
    Dataset<Row> heldOut = pairs.filter("split = 'validation'");
    return transformer.fit(
        context,
        training,
        labels.of(train),
        labels.of(heldOut),
        context.tables().rows(Table.COMPARISONS, resolvedRun),
        output,
        ofTraining);
  }

  private Map<String, Object> summary(List<Row> metrics) {
    Map<String, Object> summary = new LinkedHashMap<>();
    summary.put("kind", kind.toString());
    summary.put("pairs_run", resolvedRun);
    for (Row row : shown(metrics)) {
      summary.put(row.getAs("split") + "/" + row.getAs("metric"), row.getAs("value"));
    }
    return summary;
  }

  /** What a person looks at first; the rest stands in the table. */
  private static List<Row> shown(List<Row> metrics) {
    return metrics.stream()
        .filter(row -> SHOWN.contains(row.<String>getAs("metric")))
        .sorted(Comparator.comparingInt(row -> SHOWN.indexOf(row.<String>getAs("metric"))))
        .toList();
  }

  private static void print(JobContext context, List<Row> metrics) {
    List<List<String>> lines = new ArrayList<>();
    for (Row row : shown(metrics)) {
      Double low = row.getAs("low");
      Double high = row.getAs("high");
      lines.add(
          List.of(
              row.<String>getAs("split"),
              row.<String>getAs("metric"),
              String.format(Locale.ROOT, "%.4f", row.<Double>getAs("value")),
              low == null ? "" : String.format(Locale.ROOT, "%.4f to %.4f", low, high),
              row.<Long>getAs("n").toString()));
    }
    TextTable.lines(
            List.of("split", "metric", "value", "95 % interval", "pairs"),
            lines,
            List.of(false, false, true, false, true))
        .forEach(context.out()::println);
  }
}
