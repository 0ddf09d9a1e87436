package io.github.sparkrlhf.jobs;

import io.github.sparkrlhf.lm.LanguageModel;
import io.github.sparkrlhf.lm.ModelDirectories;
import io.github.sparkrlhf.lm.TransformerConfig;
import io.github.sparkrlhf.ppo.DpoObjective;
import io.github.sparkrlhf.ppo.DpoSettings;
import io.github.sparkrlhf.ppo.DpoTrainer;
import io.github.sparkrlhf.spark.JobFailure;
import io.github.sparkrlhf.tables.Table;
import io.github.sparkrlhf.training.Trainables;
import io.github.sparkrlhf.training.Trainer;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Improves a policy by pairs alone. */
@Command(
    name = "dpo",
    description =
        "Improves a language model by the training split of a run of pairs, without a reward model and without sampling (direct preference optimisation).",
    defaultValueProvider = DpoJob.Defaults.class)
final class DpoJob extends JobCommand {
  private static final String LABEL_SMOOTHING = "label-smoothing";
  private static final double ROBUST_LABEL_SMOOTHING = 0.1;

  /** A policy that people have trained before wants less than a new model. */
  static final class Defaults extends TrainingOptions.Defaults {
    Defaults() {
      super(Map.of("epochs", "1", "learning-rate", "1e-4"));
    }
  }

  @Option(
      names = "--pairs-run",
      paramLabel = "ID",
      description =
          "The run of pairs to learn from (default: the only complete one; an error if there are several).")
  private String pairsRun;

  @Option(
      names = "--policy",
      required = true,
      paramLabel = "DIR",
      description = "The language model to improve; also the reference policy.")
  private Path policy;

  @Option(
      names = "--output",
      required = true,
      paramLabel = "DIR",
      description = "The model directory to write; must not exist yet.")
  private Path output;

  @Option(
      names = "--loss",
      paramLabel = "LOSS",
      defaultValue = "sigmoid",
      description = "Loss of a pair: ${COMPLETION-CANDIDATES} (default: ${DEFAULT-VALUE}).")
  private DpoSettings.Loss loss;

  @Option(
      names = "--beta",
      paramLabel = "BETA",
      defaultValue = "0.1",
      description =
          "Implicit reward per nat of log-probability that a response has gained over the reference; the greater, the nearer the policy stays (default: ${DEFAULT-VALUE}).")
  private double beta;

  @Option(
      names = "--label-smoothing",
      paramLabel = "SHARE",
      description =
          "Share of labels, 0 to below 0.5, taken to be wrong, besides what the labels say themselves; with --loss sigmoid or robust (default: 0 with sigmoid, 0.1 with robust).")
  private Double labelSmoothing;

  @Option(
      names = "--labels",
      paramLabel = "LABELS",
      defaultValue = "probability",
      description =
          "What a pair is taken to say: probability (the estimated probability that each response is the better one), vote-share (the share of its votes) or majority (of its votes; even votes are half for each) (default: ${DEFAULT-VALUE}).")
  private PairLabels labels;

  @Mixin private TrainingOptions training;
  @Mixin private LoraOptions lora;
  @Mixin private ValidationOptions validation;
  @Mixin private WeightOptions written;

  private String resolvedRun;

  @Override
  protected void validate(Given given) {
    Given.requirePositive("beta", beta);
    if (!loss.smooths()) {
      given.refuse(Set.of(LABEL_SMOOTHING), "--loss " + loss + " has none");
    }
    if (labelSmoothing != null) {
      boolean positive =
          labelSmoothing > 0 || labelSmoothing == 0 && loss == DpoSettings.Loss.SIGMOID;
      Given.require(
          positive && labelSmoothing < 0.5,
          LABEL_SMOOTHING,
          labelSmoothing,
          loss == DpoSettings.Loss.ROBUST
              ? "greater than 0 and less than 0.5"
              : "at least 0 and less than 0.5");
    }
    training.validate();
    lora.validate(given);
    validation.validate();
  }

  @Override
  protected Set<String> optionsOutsideIdentity() {
    Set<String> names = new HashSet<>(CheckpointDirectories.OPTIONS);
    names.addAll(lora.outsideIdentity());
    // The run that it means is among the inputs, whether it is named or the only one.
    names.add("pairs-run");
    return names;
  }

  @Override
  protected List<Path> outputs() {
    return List.of(output);
  }

  @Override
  protected boolean usesTransformers() {
    return true;
  }

  @Override
  protected List<String> inputFingerprints(JobContext context) {
    resolvedRun = context.tables().resolveRun(Table.PAIRS, pairsRun);
    return List.of("pairs of run " + resolvedRun, ModelDirectories.digest(policy));
  }

  @Override
  protected Map<String, Object> execute(JobContext context) {
    ModelDirectories.requireFree(output, context.run().id());
    LanguageModel start = LanguageModel.load(policy);
    if (start.config().head() != TransformerConfig.Head.CAUSAL_LM) {
      throw JobFailure.usage("Cannot improve " + policy + ": it is no language model");
    }
    Dataset<Row> pairs = labels.of(context.tables().rows(Table.PAIRS, resolvedRun));
    Dataset<Row> train = split(pairs, "train");
    Dataset<Row> heldOut = split(pairs, "validation");
    boolean validates = !heldOut.isEmpty();
    if (train.isEmpty()) {
      throw noPairs("optimise preferences", "train");
    }
    if (!validates && validation.stopsEarly()) {
      throw noPairs("stop early", "validation");
    }
    JavaSparkContext spark = JavaSparkContext.fromSparkContext(context.spark().sparkContext());
    try (Trainables trainables = lora.trainables(spark, training.seed(), List.of(policy), start);
        DpoTrainer trainer =
            new DpoTrainer(spark, trainables, training.lanes(), training.settings(), settings())) {
      context.out().println(trainables.describeTraffic());
      Trainer.Result result =
          trainer.fit(
              train,
              heldOut,
              validates ? validation.settings() : null,
              training.checkpoints(output, context, trainables.layout(0).tensors("")),
              context.out());
      Dataset<Row> test = split(pairs, "test");
      Map<String, Double> tested =
          test.isEmpty()
              ? Map.of()
              : trainer.measure(test, result.weights(), "measurement on the split test");
      return publish(context, trainables, result, tested);
    }
  }

  private static Dataset<Row> split(Dataset<Row> pairs, String split) {
    return pairs.filter("split = '" + split + "'");
  }

  private JobFailure noPairs(String what, String split) {
    return JobFailure.dataQuality(
        "Cannot " + what + ": run " + resolvedRun + " has no pairs in the split " + split);
  }

  private DpoSettings settings() {
    if (labelSmoothing != null) {
      return new DpoSettings(loss, beta, labelSmoothing);
    }
    return new DpoSettings(
        loss, beta, loss == DpoSettings.Loss.ROBUST ? ROBUST_LABEL_SMOOTHING : 0);
  }

  private Map<String, Object> publish(
      JobContext context,
      Trainables trainables,
      Trainer.Result result,
      Map<String, Double> tested) {
    context.run().write(Table.DPO_METRICS, metrics(context, result, tested));
    Map<String, Object> summary = summary(trainables, result, tested);
    LanguageModel trained = trainables.model(0, result.weights());
    Map<String, Object> provenance = new LinkedHashMap<>(summary);
    provenance.put(ModelDirectories.RUN_ID, context.run().id());
    provenance.put("job", "dpo");
    provenance.put("parent", policy.toString());
    provenance.put("inputs", context.inputs());
    lora.addBase(provenance, policy);
    ModelDirectories.publish(
        output,
        provenance,
        lora.files(trainables, 0, result.weights(), policy, trained, written.type()));
    if (!tested.isEmpty()) {
      context
          .out()
          .printf(
              Locale.ROOT,
              "On the split test: loss %.4f, accuracy %.4f, margin of rewards %.3f%n",
              tested.get("loss"),
              tested.getOrDefault("rewards/accuracies", Double.NaN),
              tested.get("rewards/margins"));
    }
    context.out().println("Policy in " + output);
    return summary;
  }

  private static Trainer.Step last(Trainer.Result result) {
    return result.steps().get(result.steps().size() - 1);
  }

  /** The step after which the weights are those that are written. */
  private static int modelStep(Trainer.Result result) {
    return result.measured() == null ? last(result).step() : result.measured().step();
  }

  private static Dataset<Row> metrics(
      JobContext context, Trainer.Result result, Map<String, Double> tested) {
    return new TrainingMetrics(Table.DPO_METRICS)
        .add(result, DpoObjective::metrics, DpoObjective::metrics)
        .add(modelStep(result), last(result).epoch(), "test_", tested)
        .frame(context.spark());
  }

  private Map<String, Object> summary(
      Trainables trainables, Trainer.Result result, Map<String, Double> tested) {
    Map<String, Object> summary = new LinkedHashMap<>(trainables.traffic());
    summary.put("pairs_run", resolvedRun);
    summary.put("steps", last(result).step());
    summary.put("model_step", modelStep(result));
    summary.put("tokens", result.volume().tokens());
    summary.put("padding_share", result.volume().paddingShare());
    DpoObjective.metrics(last(result).sums())
        .forEach((name, value) -> summary.put("last/" + name, value));
    if (result.measured() != null) {
      DpoObjective.metrics(result.measured().sums())
          .forEach((name, value) -> summary.put("validation/" + name, value));
    }
    tested.forEach((name, value) -> summary.put("test/" + name, value));
    return summary;
  }
}
