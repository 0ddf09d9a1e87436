package io.github.sparkrlhf.jobs;

import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.lit;

import io.github.sparkrlhf.lm.ModelDirectories;
import io.github.sparkrlhf.reward.RewardModel;
import io.github.sparkrlhf.reward.RewardModels;
import io.github.sparkrlhf.spark.JobDescriptions;
import io.github.sparkrlhf.spark.JobFailure;
import io.github.sparkrlhf.tables.Inputs;
import io.github.sparkrlhf.tables.Table;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** Scores a table in bulk. */
@Command(
    name = "score",
    description = {
      "Scores every row of any table with prompt and response columns by a reward model of any kind.",
      "Each EXPRESSION is Spark SQL over the columns of the input."
    })
final class ScoreJob extends JobCommand {
  @Option(
      names = "--input",
      required = true,
      paramLabel = "PATH|TABLE",
      description = "A Parquet path (file, folder, glob) or a table name.")
  private String input;

  @Option(
      names = "--prompt",
      paramLabel = "EXPRESSION",
      defaultValue = "prompt",
      description = "The prompt (default: column ${DEFAULT-VALUE}).")
  private String prompt;

  @Option(
      names = "--response",
      paramLabel = "EXPRESSION",
      defaultValue = "response",
      description = "The response (default: column ${DEFAULT-VALUE}).")
  private String response;

  @Option(
      names = "--id",
      paramLabel = "EXPRESSION",
      description =
          "Id of the row in the table scores (default: a hash of the texts and a number).")
  private String id;

  @Option(
      names = "--model",
      required = true,
      paramLabel = "DIR",
      description = "The reward model's directory.")
  private Path model;

  @Override
  protected boolean usesTransformers() {
    return true;
  }

  @Override
  protected List<String> inputFingerprints(JobContext context) {
    return List.of(ModelDirectories.digest(model), Inputs.fingerprint(context.spark(), input));
  }

  @Override
  protected Map<String, Object> execute(JobContext context) {
    RewardModel reward = RewardModels.load(model);
    Dataset<Row> rows = Inputs.read(context.spark(), context.tables(), input);
    Dataset<Row> texts =
        rows.select(
            Inputs.expression(rows, "--prompt", prompt).cast("string").as(RewardModel.PROMPT),
            Inputs.expression(rows, "--response", response).cast("string").as(RewardModel.RESPONSE),
            (id == null ? lit(null) : Inputs.expression(rows, "--id", id))
                .cast("string")
                .as("row_id"));
    requireTexts(texts);
    Dataset<Row> identified = id == null ? TextRows.withIds(texts.drop("row_id"), "row_id") : texts;
    Dataset<Row> scored =
        reward.score(identified).withColumn("model", lit(model.getFileName().toString()));
    long count =
        JobDescriptions.described(
            context.spark().sparkContext(),
            "score: " + input + " by " + model.getFileName(),
            () -> context.run().write(Table.SCORES, scored));
    Row statistics =
        context
            .run()
            .rows(Table.SCORES)
            .selectExpr(
                // Decimals add up to the same in any order.
                "cast(avg(cast(score AS DECIMAL(30, 12))) AS DOUBLE)",
                "stddev(score)",
                "min(score)",
                "max(score)")
            .first();
    context
        .out()
        .printf(
            Locale.ROOT,
            "%d rows scored by %s (%s): mean %.4f, standard deviation %.4f, from %.4f to %.4f%n",
            count,
            model.getFileName(),
            reward.kind(),
            statistics.getDouble(0),
            statistics.isNullAt(1) ? Double.NaN : statistics.getDouble(1),
            statistics.getDouble(2),
            statistics.getDouble(3));
    return Map.of("rows", count, "model", model.toString(), "mean", statistics.getDouble(0));
  }

  private void requireTexts(Dataset<Row> texts) {
    long missing =
        texts
            .filter(col(RewardModel.PROMPT).isNull().or(col(RewardModel.RESPONSE).isNull()))
            .count();
    if (missing > 0) {
      throw JobFailure.dataQuality(
          "Cannot score %s: %d rows have no prompt or no response; filter them or give --prompt \"coalesce(…, '')\""
              .formatted(input, missing));
    }
  }
}
