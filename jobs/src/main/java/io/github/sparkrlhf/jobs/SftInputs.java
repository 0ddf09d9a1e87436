package io.github.sparkrlhf.jobs;

import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.expr;
import static org.apache.spark.sql.functions.lit;
import static org.apache.spark.sql.functions.struct;
import static org.apache.spark.sql.functions.transform;

import io.github.sparkrlhf.spark.JobFailure;
import io.github.sparkrlhf.tables.Inputs;
import java.io.PrintStream;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.ArrayType;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructField;
import org.apache.spark.sql.types.StructType;
import picocli.CommandLine.Option;

/** What {@code sft} learns from: the inputs, what a row is there, and which rows are held out. */
final class SftInputs {
  /** What a row of the input is. */
  enum Kind {
    /** A prompt and a response: columns prompt and response. */
    RESPONSE(
        "have no prompt or a blank response",
        "prompt is not null and trim(coalesce(response, '')) <> ''"),
    /** A conversation: column messages. */
    MESSAGES(
        "have no assistant message with a content, or a message without role or content",
        "coalesce(exists(messages, m -> m.role = 'assistant' and trim(m.content) <> '')"
            + " and forall(messages, m -> m.role is not null and m.content is not null), false)"),
    /** A plain text: column text. */
    TEXT("have a blank text", "trim(coalesce(text, '')) <> ''");

    private final String skippedBecause;

    /** Never null, so that what is not usable is skipped and counted. */
    private final String usable;

    Kind(String skippedBecause, String usable) {
      this.skippedBecause = skippedBecause;
      this.usable = usable;
    }
  }

  /** Which tokens the loss is on. */
  enum LossOn {
    RESPONSES,
    ALL;

    @Override
    public String toString() {
      return name().toLowerCase(Locale.ROOT);
    }
  }

  @Option(
      names = "--input",
      required = true,
      paramLabel = "PATH|TABLE",
      description = "A Parquet path (file, folder, glob) or a table name; may be repeated.")
  private List<String> inputs;

  @Option(
      names = "--prompt",
      paramLabel = "EXPRESSION",
      description = "The prompt, a string. Give one of --prompt, --messages and --text.")
  private String prompt;

  @Option(
      names = "--response",
      paramLabel = "EXPRESSION",
      defaultValue = "response",
      description = "The response to the prompt, a string (default: column ${DEFAULT-VALUE}).")
  private String response;

  @Option(
      names = "--messages",
      paramLabel = "EXPRESSION",
      description =
          "A conversation: an array of structs with the strings role (such as system, user, assistant) and content.")
  private String messages;

  @Option(
      names = "--text",
      paramLabel = "EXPRESSION",
      description =
          "A plain text, a string, of which all tokens are learned. One that is longer than the model's room is learned in pieces.")
  private String text;

  @Option(
      names = "--loss-on",
      paramLabel = "TOKENS",
      defaultValue = "responses",
      description =
          "Tokens that are learned: ${COMPLETION-CANDIDATES}; responses are the response, or the assistant's messages (default: ${DEFAULT-VALUE}).")
  private LossOn lossOn;

  @Option(
      names = "--validation-share",
      paramLabel = "SHARE",
      defaultValue = "0.05",
      description =
          "Share of the rows, 0 to 1, that is held out to measure perplexity, by hash of the prompt (of a conversation's first user message, of the text) (default: ${DEFAULT-VALUE}).")
  private double validationShare;

  @Option(
      names = "--max-skipped-share",
      paramLabel = "SHARE",
      defaultValue = "0.05",
      description =
          "Fail with exit code 3 if a greater share of rows, 0 to 1, has no prompt or nothing to learn and is skipped (default: ${DEFAULT-VALUE}).")
  private double maxSkippedShare;

  /**
   * Checks the options.
   *
   * @throws JobFailure usage, if they do not say in one way what a row is
   */
  void validate(Given given) {
    Map<String, String> ways = new LinkedHashMap<>();
    ways.put("--prompt", prompt);
    ways.put("--messages", messages);
    ways.put("--text", text);
    ways.values().removeIf(way -> way == null);
    if (ways.size() != 1) {
      throw JobFailure.usage(
          "Cannot fine-tune: give one of --prompt (with --response), --messages and --text"
              + (ways.isEmpty() ? "" : ", not " + String.join(" and ", ways.keySet())));
    }
    if (kind() != Kind.RESPONSE) {
      given.refuse(List.of("response"), "it answers --prompt, which is not given");
    }
    if (kind() == Kind.TEXT) {
      given.refuse(List.of("loss-on"), "the loss is on all tokens of --text");
    }
    Given.require(
        validationShare >= 0 && validationShare < 1,
        "validation-share",
        validationShare,
        "at least 0 and less than 1");
    Given.requireShare("max-skipped-share", maxSkippedShare);
  }

  /** Names of the options that say nothing about this kind of rows. */
  Set<String> outsideIdentity() {
    return switch (kind()) {
      case RESPONSE -> Set.of();
      case MESSAGES -> Set.of("response");
      case TEXT -> Set.of("response", "loss-on");
    };
  }

  double validationShare() {
    return validationShare;
  }

  Kind kind() {
    if (messages != null) {
      return Kind.MESSAGES;
    }
    return text != null ? Kind.TEXT : Kind.RESPONSE;
  }

  LossOn lossOn() {
    return kind() == Kind.TEXT ? LossOn.ALL : lossOn;
  }

  List<String> fingerprints(SparkSession spark) {
    return inputs.stream().map(input -> Inputs.fingerprint(spark, input)).toList();
  }

  /**
   * All rows of the inputs.
   *
   * @return the columns of the {@link Kind}, any of which may be null, and hold_out_by and content,
   *     which decide whether a row is held out and what its id is
   */
  Dataset<Row> rows(JobContext context) {
    Dataset<Row> all = null;
    for (String input : inputs) {
      Dataset<Row> rows = columns(Inputs.read(context.spark(), context.tables(), input));
      all = all == null ? rows : all.unionAll(rows);
    }
    return all;
  }

  private Dataset<Row> columns(Dataset<Row> input) {
    return switch (kind()) {
      case RESPONSE ->
          input.select(
              string(input, "--prompt", prompt).as("prompt"),
              string(input, "--response", response).as("response"));
      case MESSAGES -> input.select(conversation(input).as("messages"));
      case TEXT -> input.select(string(input, "--text", text).as("text"));
    };
  }

  private static Column string(Dataset<Row> input, String option, String sql) {
    Column column = Inputs.expression(input, option, sql);
    DataType type = input.select(column).schema().fields()[0].dataType();
    if (!type.equals(DataTypes.StringType) && !type.equals(DataTypes.NullType)) {
      throw wrongType(option, sql, type, "a string");
    }
    return column.cast(DataTypes.StringType);
  }

  private Column conversation(Dataset<Row> input) {
    Column column = Inputs.expression(input, "--messages", messages);
    DataType type = input.select(column).schema().fields()[0].dataType();
    boolean fits =
        type instanceof ArrayType array
            && array.elementType() instanceof StructType message
            && hasString(message, "role")
            && hasString(message, "content");
    if (!fits) {
      throw wrongType(
          "--messages", messages, type, "an array of structs with the strings role and content");
    }
    return transform(
        column,
        message ->
            struct(message.getField("role").as("role"), message.getField("content").as("content")));
  }

  private static boolean hasString(StructType message, String name) {
    return Arrays.stream(message.fields())
        .filter(field -> field.name().equalsIgnoreCase(name))
        .map(StructField::dataType)
        .anyMatch(DataTypes.StringType::equals);
  }

  private static JobFailure wrongType(String option, String sql, DataType found, String wanted) {
    return JobFailure.usage(
        "Cannot fine-tune: %s '%s' is of type %s and must be %s"
            .formatted(option, sql, found.sql(), wanted));
  }

  /**
   * Counts the rows that cannot be learned from.
   *
   * @throws JobFailure data quality if there are too many of them, which is no accident
   */
  long skipped(Dataset<Row> rows, PrintStream out) {
    Row counts = rows.selectExpr("count(*)", "count_if(" + kind().usable + ")").first();
    long all = counts.getLong(0);
    long skipped = all - counts.getLong(1);
    if (skipped == all || skipped > maxSkippedShare * all) {
      throw JobFailure.dataQuality(
          String.format(
              Locale.ROOT,
              "Cannot fine-tune: %d of %d rows (%.1f %%) %s, %s",
              skipped,
              all,
              100.0 * skipped / all,
              kind().skippedBecause,
              skipped == all
                  ? "no row is left"
                  : "more than --max-skipped-share " + maxSkippedShare));
    }
    out.printf("%d of %d rows %s: skipped%n", skipped, all, kind().skippedBecause);
    return skipped;
  }

  /**
   * The rows that can be learned from.
   *
   * @return id, held_out, and the columns of the {@link Kind}
   */
  Dataset<Row> usable(Dataset<Row> rows) {
    List<Column> columns = new ArrayList<>();
    columns.add(col("*"));
    switch (kind()) {
      case RESPONSE -> {}
      case MESSAGES -> {
        columns.add(
            expr("coalesce(filter(messages, m -> m.role = 'user')[0].content, messages[0].content)")
                .as("prompt"));
        columns.add(expr("to_json(messages)").as("response"));
      }
      case TEXT -> {
        columns.add(lit("").as("prompt"));
        columns.add(expr("text").as("response"));
      }
    }
    // Another hash than the one that deals rows into lanes.
    String heldOutBy = kind() == Kind.TEXT ? "text" : "prompt";
    Dataset<Row> identified =
        TextRows.withIds(rows.filter(kind().usable).select(columns.toArray(Column[]::new)), "id")
            .withColumn(
                "held_out",
                expr("pmod(xxhash64('held out', " + heldOutBy + "), 1000000) / 1000000.0")
                    .lt(validationShare));
    return kind() == Kind.RESPONSE ? identified : identified.drop("prompt", "response");
  }
}
