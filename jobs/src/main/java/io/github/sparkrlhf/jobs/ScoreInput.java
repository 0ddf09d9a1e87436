package io.github.sparkrlhf.jobs;

import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.count;
import static org.apache.spark.sql.functions.count_if;
import static org.apache.spark.sql.functions.first;
import static org.apache.spark.sql.functions.lit;
import static org.apache.spark.sql.functions.when;

import io.github.sparkrlhf.reward.RewardModel;
import io.github.sparkrlhf.spark.JobFailure;
import io.github.sparkrlhf.tables.Inputs;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import picocli.CommandLine.Option;

/** What {@code score} reads. */
final class ScoreInput {
  private static final String TEMPLATE = "chat_template";

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
      names = "--chat-template",
      paramLabel = "EXPRESSION",
      description =
          "The chat template that the texts were made with, where a row has one; another one than the model's is refused (default: column chat_template if there is one).")
  private String chatTemplate;

  @Option(
      names = "--allow-other-template",
      description =
          "Score texts that were made with another chat template than the model's all the same, in the model's (default: no).")
  private boolean allowOtherTemplate;

  String name() {
    return input;
  }

  String fingerprint(SparkSession spark) {
    return Inputs.fingerprint(spark, input);
  }

  /** All rows and columns of the input. */
  Dataset<Row> rows(JobContext context) {
    return Inputs.read(context.spark(), context.tables(), input);
  }

  Column prompt(Dataset<Row> rows) {
    return Inputs.expression(rows, "--prompt", prompt).cast("string");
  }

  Column response(Dataset<Row> rows) {
    return Inputs.expression(rows, "--response", response).cast("string");
  }

  boolean hasIds() {
    return id != null;
  }

  /**
   * The texts of the rows: prompt, response, row_id, which is null without {@code --id}.
   *
   * @param carried columns of the rows to have besides
   * @throws JobFailure data quality, if a row has no text; usage, if one was made with another chat
   *     template
   */
  Dataset<Row> texts(Dataset<Row> rows, RewardModel model, Column... carried) {
    List<Column> columns = new ArrayList<>(Arrays.asList(carried));
    columns.add(prompt(rows).as(RewardModel.PROMPT));
    columns.add(response(rows).as(RewardModel.RESPONSE));
    Column ids = id == null ? lit(null) : Inputs.expression(rows, "--id", id);
    columns.add(ids.cast("string").as("row_id"));
    columns.add(template(rows).cast("string").as(TEMPLATE));
    Dataset<Row> texts = rows.select(columns.toArray(Column[]::new));
    requireUsable(texts, model.chatTemplate());
    return texts.drop(TEMPLATE);
  }

  private Column template(Dataset<Row> rows) {
    if (chatTemplate != null) {
      return Inputs.expression(rows, "--chat-template", chatTemplate);
    }
    return Arrays.asList(rows.columns()).contains(TEMPLATE) ? col(TEMPLATE) : lit(null);
  }

  private void requireUsable(Dataset<Row> texts, String modelTemplate) {
    Column missing = col(RewardModel.PROMPT).isNull().or(col(RewardModel.RESPONSE).isNull());
    // Not equal is null, hence not counted, where a row or the model has no template.
    Column other = col(TEMPLATE).notEqual(lit(modelTemplate));
    Row counts =
        texts
            .agg(count_if(missing), count(when(other, 1)), first(when(other, col(TEMPLATE)), true))
            .first();
    if (counts.getLong(0) > 0) {
      throw JobFailure.dataQuality(
          "Cannot score %s: %d rows have no prompt or no response; filter them or give --prompt \"coalesce(…, '')\""
              .formatted(input, counts.getLong(0)));
    }
    if (counts.getLong(1) > 0 && !allowOtherTemplate) {
      throw JobFailure.usage(
          "Cannot score %s: %d rows were made with another chat template than the model's, such as '%s'; --allow-other-template scores them in the model's"
              .formatted(input, counts.getLong(1), excerpt(counts.getString(2))));
    }
  }

  private static String excerpt(String template) {
    String line = template.replaceAll("\\s+", " ");
    return line.length() <= 60 ? line : line.substring(0, 60) + "…";
  }
}
