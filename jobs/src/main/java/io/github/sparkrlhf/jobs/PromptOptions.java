package io.github.sparkrlhf.jobs;

import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.count;
import static org.apache.spark.sql.functions.lit;

import io.github.sparkrlhf.lm.Tokenizer;
import io.github.sparkrlhf.policy.RolloutSampler.Prompt;
import io.github.sparkrlhf.spark.JobFailure;
import io.github.sparkrlhf.tables.Inputs;
import java.util.List;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import picocli.CommandLine.Option;

/** Where prompts come from. */
final class PromptOptions {
  @Option(
      names = "--prompts",
      required = true,
      paramLabel = "PATH|TABLE",
      description = "A Parquet path (file, folder, glob) or a table name with the prompts.")
  private String input;

  @Option(
      names = "--prompt",
      paramLabel = "EXPRESSION",
      defaultValue = "prompt",
      description = "The prompt (default: column ${DEFAULT-VALUE}).")
  private String prompt;

  @Option(
      names = "--prompt-id",
      paramLabel = "EXPRESSION",
      description =
          "Unique id of the prompt (default: a hash of the prompt and, for equal prompts, a number).")
  private String promptId;

  String fingerprint(SparkSession spark) {
    return Inputs.fingerprint(spark, input);
  }

  /**
   * The prompts: prompt_id, prompt.
   *
   * @throws JobFailure data quality, if one is null or an id occurs more than once
   */
  Dataset<Row> rows(JobContext context) {
    Dataset<Row> rows = Inputs.read(context.spark(), context.tables(), input);
    Dataset<Row> texts =
        rows.select(
            Inputs.expression(rows, "--prompt", prompt).cast("string").as("prompt"),
            (promptId == null ? lit(null) : Inputs.expression(rows, "--prompt-id", promptId))
                .cast("string")
                .as("prompt_id"));
    if (promptId == null) {
      texts =
          TextRows.withIds(texts.drop("prompt_id").withColumn("response", lit("")), "prompt_id");
    }
    Dataset<Row> prompts = texts.select("prompt_id", "prompt");
    requireUsable(prompts);
    return prompts;
  }

  private static void requireUsable(Dataset<Row> prompts) {
    List<Row> unusable =
        prompts
            .groupBy("prompt_id")
            .agg(count(lit(1)).as("rows"), count("prompt").as("texts"))
            .where("prompt_id IS NULL OR rows > 1 OR texts < rows")
            .orderBy("prompt_id")
            .takeAsList(1);
    if (!unusable.isEmpty()) {
      throw JobFailure.dataQuality(
          "Cannot sample: prompt "
              + unusable.get(0).get(0)
              + " is null or its id occurs more than once");
    }
  }

  /**
   * Prompts with their tokens, in the order of their ids.
   *
   * @param rows some of {@link #rows}
   * @param room the longest prompt in tokens after which there is room for a response
   * @param who has so much room, as in {@code the policy has}
   * @throws JobFailure usage, if one is longer
   */
  static List<Prompt> tokenized(
      Dataset<Row> rows, Tokenizer tokenizer, int room, int maxNewTokens, String who) {
    return rows.orderBy(col("prompt_id")).collectAsList().stream()
        .map(
            row -> {
              int[] tokens = tokenizer.encodePrompt(row.getString(1));
              if (tokens.length > room) {
                throw JobFailure.usage(
                    "Cannot sample: prompt %s has %d tokens; with --max-new-tokens %d %s room for %d"
                        .formatted(row.getString(0), tokens.length, maxNewTokens, who, room));
              }
              return new Prompt(row.getString(0), row.getString(1), tokens);
            })
        .toList();
  }
}
