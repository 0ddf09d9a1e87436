package io.github.sparkrlhf.jobs;

import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.expr;
import static org.apache.spark.sql.functions.lit;

import io.github.sparkrlhf.lm.LanguageModel;
import io.github.sparkrlhf.lm.ModelDirectories;
import io.github.sparkrlhf.lm.Tokenizer;
import io.github.sparkrlhf.lm.TokenizerFile;
import io.github.sparkrlhf.lm.TransformerConfig;
import io.github.sparkrlhf.spark.JobFailure;
import io.github.sparkrlhf.tables.Inputs;
import io.github.sparkrlhf.tables.Table;
import io.github.sparkrlhf.training.LanguageModelObjective;
import io.github.sparkrlhf.training.Objective;
import io.github.sparkrlhf.training.Progress;
import io.github.sparkrlhf.training.TextExample;
import io.github.sparkrlhf.training.Trainer;
import io.github.sparkrlhf.training.TrainingEngine;
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
import org.apache.spark.sql.RowFactory;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Supervised fine-tuning of a language model. */
@Command(
    name = "sft",
    description = {
      "Fine-tunes a language model on responses to prompts, or on plain text; the loss is on the responses only.",
      "Each EXPRESSION is Spark SQL over the columns of the input."
    })
final class SftJob extends JobCommand {
  /** Of texts; never null, so that what is not usable is skipped and counted. */
  private static final String USABLE = "prompt is not null and trim(coalesce(response, '')) <> ''";

  @Option(
      names = "--input",
      required = true,
      paramLabel = "PATH|TABLE",
      description = "A Parquet path (file, folder, glob) or a table name; may be repeated.")
  private List<String> inputs;

  @Option(
      names = "--prompt",
      paramLabel = "EXPRESSION",
      description = "The prompt (default: none, the responses are plain text).")
  private String prompt;

  @Option(
      names = "--response",
      paramLabel = "EXPRESSION",
      defaultValue = "response",
      description = "The text to learn (default: column ${DEFAULT-VALUE}).")
  private String response;

  @Option(
      names = "--validation-share",
      paramLabel = "SHARE",
      defaultValue = "0.05",
      description =
          "Share of the rows, 0 to 1, that is held out by hash of the prompt (of the text without one) to measure perplexity (default: ${DEFAULT-VALUE}).")
  private double validationShare;

  @Option(
      names = "--max-skipped-share",
      paramLabel = "SHARE",
      defaultValue = "0.05",
      description =
          "Fail with exit code 3 if a greater share of rows, 0 to 1, has no prompt or a blank response and is skipped (default: ${DEFAULT-VALUE}).")
  private double maxSkippedShare;

  @Option(
      names = "--output",
      required = true,
      paramLabel = "DIR",
      description = "The model directory to write; must not exist yet.")
  private Path output;

  @Mixin private ModelOptions model;
  @Mixin private TrainingOptions training;

  @Override
  protected void validate(Given given) {
    Given.require(
        validationShare >= 0 && validationShare < 1,
        "validation-share",
        validationShare,
        "at least 0 and less than 1");
    Given.requireShare("max-skipped-share", maxSkippedShare);
    model.validate(given);
    training.validate();
  }

  @Override
  protected Set<String> optionsOutsideIdentity() {
    Set<String> names = new HashSet<>(CheckpointDirectories.OPTIONS);
    names.addAll(model.outsideIdentity());
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
    inputs.forEach(input -> fingerprints.add(Inputs.fingerprint(context.spark(), input)));
    return fingerprints;
  }

  @Override
  protected Map<String, Object> execute(JobContext context) {
    ModelDirectories.requireFree(output, context.run().id());
    LanguageModel initial = model.load(TransformerConfig.Head.CAUSAL_LM, training.seed());
    JavaSparkContext spark = JavaSparkContext.fromSparkContext(context.spark().sparkContext());
    Dataset<Row> texts = texts(context);
    long skipped = skipped(context, texts);
    Dataset<Row> rows = withSplit(texts.filter(USABLE)).cache();
    LanguageModelObjective objective = new LanguageModelObjective(initial.config());
    try (TrainingEngine<TextExample> engine =
        new TrainingEngine<>(spark, examples(rows, false, initial), training.lanes(), objective)) {
      context
          .out()
          .printf(
              "%d rows, %d parameters, %d steps%n",
              engine.rows(),
              initial.weights().length,
              new Trainer<>(engine, training.settings(), "sft").totalSteps());
      Trainer<TextExample> trainer = new Trainer<>(engine, training.settings(), "sft");
      Trainer.Result result =
          trainer.train(
              initial.weights(),
              initial.config().layout(),
              training.checkpoints(output, context, initial.config().layout().tensors("")),
              new Progress(context.out(), "sft", trainer.totalSteps()));
      Map<String, Object> summary = new LinkedHashMap<>();
      summary.put("rows", engine.rows());
      summary.put("skipped", skipped);
      return publish(context, initial.withWeights(result.weights()), result, rows, summary);
    } finally {
      rows.unpersist();
    }
  }

  private Map<String, Object> publish(
      JobContext context,
      LanguageModel trained,
      Trainer.Result result,
      Dataset<Row> rows,
      Map<String, Object> summary) {
    summary.put("parameters", trained.weights().length);
    summary.put("steps", result.steps().size());
    summary.put("final_loss", result.steps().get(result.steps().size() - 1).loss());
    JavaRDD<TextExample> heldOut = examples(rows, true, trained);
    if (!heldOut.isEmpty()) {
      double perplexity = perplexity(context, trained, heldOut);
      summary.put("validation_perplexity", perplexity);
      context
          .out()
          .printf(Locale.ROOT, "Perplexity on held-out rows: %.3f per token%n", perplexity);
    }
    summary.put("output", output.toString());
    Map<String, Object> provenance = new LinkedHashMap<>(summary);
    provenance.put(ModelDirectories.RUN_ID, context.run().id());
    provenance.put("job", "sft");
    provenance.put("parent", model.parent());
    provenance.put("inputs", context.inputs());
    trained.save(output, provenance);
    context.run().write(Table.SFT_METRICS, metrics(context, result));
    context.out().println("Model in " + output);
    return summary;
  }

  private double perplexity(
      JobContext context, LanguageModel trained, JavaRDD<TextExample> heldOut) {
    try (TrainingEngine<TextExample> engine =
        new TrainingEngine<>(
            JavaSparkContext.fromSparkContext(context.spark().sparkContext()),
            heldOut,
            training.lanes(),
            new LanguageModelObjective(trained.config()))) {
      double[] sums = engine.evaluate(trained.weights(), "sft: perplexity on held-out rows");
      return Math.exp(sums[Objective.LOSS] / sums[Objective.COUNT]);
    }
  }

  /** prompt, response; any of them may be missing. */
  private Dataset<Row> texts(JobContext context) {
    Dataset<Row> all = null;
    for (String input : inputs) {
      Dataset<Row> rows = Inputs.read(context.spark(), context.tables(), input);
      Dataset<Row> texts =
          rows.select(
              (prompt == null ? lit("") : Inputs.expression(rows, "--prompt", prompt))
                  .cast("string")
                  .as("prompt"),
              Inputs.expression(rows, "--response", response).cast("string").as("response"));
      all = all == null ? texts : all.unionAll(texts);
    }
    return all;
  }

  /** Counts the rows that cannot be learned from; too many of them are no accident. */
  private long skipped(JobContext context, Dataset<Row> texts) {
    Row counts = texts.selectExpr("count(*)", "count_if(" + USABLE + ")").first();
    long rows = counts.getLong(0);
    long skipped = rows - counts.getLong(1);
    if (skipped == rows || skipped > maxSkippedShare * rows) {
      throw JobFailure.dataQuality(
          String.format(
              Locale.ROOT,
              "Cannot fine-tune: %d of %d rows (%.1f %%) have no prompt or a blank response, %s",
              skipped,
              rows,
              100.0 * skipped / rows,
              skipped == rows
                  ? "no row is left"
                  : "more than --max-skipped-share " + maxSkippedShare));
    }
    context
        .out()
        .printf("%d of %d rows have no prompt or a blank response: skipped%n", skipped, rows);
    return skipped;
  }

  /** prompt, response, id, held_out. */
  private Dataset<Row> withSplit(Dataset<Row> usable) {
    String heldOutBy = prompt == null ? "response" : "prompt";
    return TextRows.withIds(usable, "id")
        .withColumn(
            "held_out",
            // Another hash than the one that deals rows into lanes.
            expr("pmod(xxhash64('held out', " + heldOutBy + "), 1000000) / 1000000.0")
                .lt(validationShare));
  }

  private JavaRDD<TextExample> examples(
      Dataset<Row> rows, boolean heldOut, LanguageModel forModel) {
    TokenizerFile file = forModel.tokenizer();
    int maxLength = forModel.config().maxPositions();
    return rows.filter(col("held_out").equalTo(heldOut))
        .select("id", "prompt", "response")
        .javaRDD()
        .map(row -> example(file, row.getString(0), row.getString(1), row.getString(2), maxLength));
  }

  /** A text that is too long loses its end. */
  private static TextExample example(
      TokenizerFile file, String id, String promptText, String responseText, int maxLength) {
    Tokenizer tokenizer = Tokenizer.of(file);
    int[] promptTokens = tokenizer.encodePrompt(promptText);
    int[] responseTokens = tokenizer.encodeResponse(responseText);
    if (promptTokens.length >= maxLength) {
      throw JobFailure.usage(
          "Cannot fine-tune: the prompt of row %s has %d tokens and the model has room for %d"
              .formatted(id, promptTokens.length, maxLength));
    }
    int room = Math.min(responseTokens.length, maxLength - promptTokens.length);
    return new TextExample(id, promptTokens, Arrays.copyOf(responseTokens, room));
  }

  private static Dataset<Row> metrics(JobContext context, Trainer.Result result) {
    List<Row> rows = new ArrayList<>();
    for (Trainer.Step step : result.steps()) {
      rows.add(RowFactory.create(step.step(), step.epoch(), "loss", step.loss()));
      rows.add(RowFactory.create(step.step(), step.epoch(), "gradient_norm", step.gradientNorm()));
      rows.add(RowFactory.create(step.step(), step.epoch(), "lr", step.learningRate()));
    }
    return context.spark().createDataFrame(rows, Table.SFT_METRICS.schemaWithoutRun());
  }
}
