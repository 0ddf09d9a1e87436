package io.github.sparkrlhf.jobs;

import io.github.sparkrlhf.lm.LanguageModel;
import io.github.sparkrlhf.lm.ModelDirectories;
import io.github.sparkrlhf.lm.TransformerConfig;
import io.github.sparkrlhf.spark.JobFailure;
import io.github.sparkrlhf.tables.Table;
import io.github.sparkrlhf.training.LanguageModelObjective;
import io.github.sparkrlhf.training.Objective;
import io.github.sparkrlhf.training.Progress;
import io.github.sparkrlhf.training.TextExample;
import io.github.sparkrlhf.training.Trainables;
import io.github.sparkrlhf.training.Trainer;
import io.github.sparkrlhf.training.TrainingEngine;
import io.github.sparkrlhf.training.Validation;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Supervised fine-tuning of a language model. */
@Command(
    name = "sft",
    description = {
      "Fine-tunes a language model on responses to prompts, on conversations, or on plain text.",
      "Each EXPRESSION is Spark SQL over the columns of the input."
    })
final class SftJob extends JobCommand {
  @Mixin private SftInputs inputs;

  @Option(
      names = "--output",
      required = true,
      paramLabel = "DIR",
      description = "The model directory to write; must not exist yet.")
  private Path output;

  @Mixin private ModelOptions model;
  @Mixin private TrainingOptions training;
  @Mixin private LoraOptions lora;
  @Mixin private ValidationOptions validation;
  @Mixin private WeightOptions written;

  @Override
  protected void validate(Given given) {
    inputs.validate(given);
    model.validate(given);
    training.validate();
    lora.validate(given, model.directory());
    if (inputs.validationShare() == 0) {
      given.refuse(ValidationOptions.NAMES, "with --validation-share 0 no row is held out");
    }
    validation.validate();
  }

  @Override
  protected Set<String> optionsOutsideIdentity() {
    Set<String> names = new HashSet<>(CheckpointDirectories.OPTIONS);
    names.addAll(inputs.outsideIdentity());
    names.addAll(model.outsideIdentity());
    names.addAll(lora.outsideIdentity());
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
    List<String> fingerprints = new ArrayList<>(model.fingerprints());
    fingerprints.addAll(inputs.fingerprints(context.spark()));
    return fingerprints;
  }

  @Override
  protected Map<String, Object> execute(JobContext context) {
    ModelDirectories.requireFree(output, context.run().id());
    LanguageModel initial = model.load(TransformerConfig.Head.CAUSAL_LM, training.seed());
    Dataset<Row> all = inputs.rows(context);
    Map<String, Object> summary = new LinkedHashMap<>();
    long skipped = inputs.skipped(all, context.out());
    Dataset<Row> rows = inputs.usable(all).cache();
    SftExamples examples = new SftExamples(inputs.kind(), inputs.lossOn(), initial);
    JavaSparkContext spark = JavaSparkContext.fromSparkContext(context.spark().sparkContext());
    try (Trainables trainables =
            lora.trainables(spark, training.seed(), Arrays.asList(model.directory()), initial);
        TrainingEngine<TextExample> engine = engine(spark, examples.of(rows, false), trainables);
        TrainingEngine<TextExample> heldOut = heldOut(spark, examples.of(rows, true), trainables)) {
      summary.put("rows", engine.rows());
      summary.put("held_out", heldOut == null ? 0 : heldOut.rows());
      summary.put("skipped", skipped);
      summary.putAll(trainables.traffic());
      Trainer.Result result = train(context, trainables, engine, heldOut);
      return publish(context, trainables, result, summary);
    } finally {
      rows.unpersist();
    }
  }

  private TrainingEngine<TextExample> engine(
      JavaSparkContext spark, JavaRDD<TextExample> examples, Trainables trainables) {
    return new TrainingEngine<>(
        spark,
        examples,
        training.lanes(),
        trainables.objective(new LanguageModelObjective(trainables.initialModel(0).config())));
  }

  /** Null if no row is held out. */
  private TrainingEngine<TextExample> heldOut(
      JavaSparkContext spark, JavaRDD<TextExample> examples, Trainables trainables) {
    if (!examples.isEmpty()) {
      return engine(spark, examples, trainables);
    }
    if (validation.stopsEarly()) {
      throw JobFailure.dataQuality(
          "Cannot stop early: none of the rows is held out; give a greater --validation-share");
    }
    return null;
  }

  private Trainer.Result train(
      JobContext context,
      Trainables trainables,
      TrainingEngine<TextExample> engine,
      TrainingEngine<TextExample> heldOut) {
    Trainer<TextExample> trainer = new Trainer<>(engine, training.settings(), "sft");
    if (heldOut != null) {
      trainer.optValidation(new Validation<>(heldOut, validation.settings(), SftJob::describe));
    }
    context
        .out()
        .printf(
            "%d rows, %d held out, %d parameters, %d steps%n",
            engine.rows(),
            heldOut == null ? 0 : heldOut.rows(),
            trainables.initialModel(0).weights().length,
            trainer.totalSteps());
    context.out().println(trainables.describeTraffic());
    return trainer.train(
        trainables.initial(),
        trainables.layout(0),
        training.checkpoints(output, context, trainables.layout(0).tensors("")),
        new Progress(context.out(), "sft", trainer.totalSteps()));
  }

  private static String describe(Validation.Measurement measurement) {
    return String.format(
        Locale.ROOT,
        "epoch %d, step %d: perplexity on held-out rows %.3f per token (loss %.4f)",
        measurement.epoch(),
        measurement.step(),
        Math.exp(measurement.loss()),
        measurement.loss());
  }

  private Map<String, Object> publish(
      JobContext context,
      Trainables trainables,
      Trainer.Result result,
      Map<String, Object> summary) {
    LanguageModel trained = trainables.model(0, result.weights());
    summary.put("parameters", trained.weights().length);
    summary.put("steps", result.steps().size());
    summary.put("tokens", result.volume().tokens());
    summary.put("padding_share", result.volume().paddingShare());
    summary.put("final_loss", result.steps().get(result.steps().size() - 1).loss());
    if (result.measured() != null) {
      summary.put("model_step", result.measured().step());
      summary.put("validation_loss", result.measured().loss());
      summary.put("validation_perplexity", Math.exp(result.measured().loss()));
    }
    summary.put("output", output.toString());
    Map<String, Object> provenance = new LinkedHashMap<>(summary);
    provenance.put(ModelDirectories.RUN_ID, context.run().id());
    provenance.put("job", "sft");
    provenance.put("parent", model.parent());
    provenance.put("inputs", context.inputs());
    lora.addBase(provenance, model.directory());
    ModelDirectories.publish(
        output,
        provenance,
        lora.files(trainables, 0, result.weights(), model.directory(), trained, written.type()));
    context
        .run()
        .write(
            Table.SFT_METRICS,
            new TrainingMetrics(Table.SFT_METRICS)
                .add(result, SftJob::ofStep, SftJob::ofMeasurement)
                .frame(context.spark()));
    context
        .out()
        .printf(
            Locale.ROOT,
            "%,d tokens in %d steps, %.1f %% of the positions were padding%n",
            result.volume().tokens(),
            result.steps().size(),
            100 * result.volume().paddingShare());
    context.out().println("Model in " + output);
    return summary;
  }

  private static Map<String, Double> ofStep(List<Double> sums) {
    return Map.of("loss", sums.get(Objective.LOSS) / sums.get(Objective.COUNT));
  }

  private static Map<String, Double> ofMeasurement(List<Double> sums) {
    double loss = sums.get(Objective.LOSS) / sums.get(Objective.COUNT);
    return Map.of("loss", loss, "perplexity", Math.exp(loss));
  }
}
