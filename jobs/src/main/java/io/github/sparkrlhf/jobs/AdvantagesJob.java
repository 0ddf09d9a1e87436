package io.github.sparkrlhf.jobs;

import static org.apache.spark.sql.functions.array;
import static org.apache.spark.sql.functions.coalesce;
import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.lit;
import static org.apache.spark.sql.functions.pmod;
import static org.apache.spark.sql.functions.when;
import static org.apache.spark.sql.functions.xxhash64;

import io.github.sparkrlhf.lm.LanguageModel;
import io.github.sparkrlhf.lm.ModelDirectories;
import io.github.sparkrlhf.lm.TransformerConfig;
import io.github.sparkrlhf.reward.RewardModel;
import io.github.sparkrlhf.spark.JobFailure;
import io.github.sparkrlhf.tables.Inputs;
import io.github.sparkrlhf.tables.Run;
import io.github.sparkrlhf.tables.Table;
import io.github.sparkrlhf.training.LaneSettings;
import io.github.sparkrlhf.training.Progress;
import java.nio.file.Path;
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
import org.apache.spark.sql.functions;
import org.apache.spark.sql.types.ArrayType;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.NumericType;
import org.apache.spark.storage.StorageLevel;
import picocli.CommandLine.ArgGroup;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Makes of responses from anywhere what trainers learn from. */
@Command(
    name = "advantages",
    description = {
      "Takes responses that were sampled anywhere: scores them by a reward model of any kind, measures their KL to a reference model, compares the responses to a prompt with each other, and keeps those that pass a filter. Writes rollouts and scores, and on request trainer-ready rows, pairs and best-of-n sets.",
      "Each EXPRESSION is Spark SQL over the columns of the input."
    })
final class AdvantagesJob extends JobCommand {
  private static final DataType NUMBERS = DataTypes.createArrayType(DataTypes.DoubleType);

  @Mixin private ScoreInput input;

  @Option(
      names = "--logprobs",
      paramLabel = "EXPRESSION",
      description =
          "What sampled a response says of its log-probability, nats: a number, or an array with one number per token, which is summed (default: --policy computes it).")
  private String logProbabilities;

  @ArgGroup(multiplicity = "1")
  private ScoreSourceOptions source;

  @Option(
      names = "--reference",
      required = true,
      paramLabel = "DIR",
      description = "The language model that the KL is measured to.")
  private Path reference;

  @Option(
      names = "--policy",
      paramLabel = "DIR",
      description =
          "The language model that sampled, for log-probabilities where --logprobs says none; of the reference's tokenizer (default: without either there is no KL).")
  private Path policy;

  @Option(
      names = "--temperature",
      paramLabel = "T",
      defaultValue = "1.0",
      description =
          "What the responses were sampled at: logits are divided by it (default: ${DEFAULT-VALUE}).")
  private double temperature;

  @Option(
      names = "--kl-coefficient",
      paramLabel = "BETA",
      defaultValue = "0",
      description =
          "BETA times the KL of a response is subtracted from its score before responses are compared (default: ${DEFAULT-VALUE}).")
  private double klCoefficient;

  @Option(
      names = "--advantages",
      paramLabel = "RULE",
      defaultValue = "rloo",
      description =
          "How the responses to a prompt are compared: ${COMPLETION-CANDIDATES} (default: ${DEFAULT-VALUE}).")
  private ExternalResponses.Rule rule;

  @Option(
      names = "--filter",
      paramLabel = "CONDITION",
      description =
          "Keep responses for which this Spark SQL condition holds, over prompt, response, tokens, score, kl, reward, advantage, group_size, group_mean and group_deviation; all responses to the prompt are compared before (default: keep all).")
  private String filter;

  @Option(
      names = "--part",
      paramLabel = "ROWS",
      defaultValue = "4096",
      description =
          "Responses that are worked on and written together, about; an interrupted run loses one part (default: ${DEFAULT-VALUE}).")
  private int part;

  @Option(
      names = "--lanes",
      paramLabel = "N",
      defaultValue = "4",
      description =
          "Lanes, a power of two: the most tasks that compute log-probabilities at the same time (default: ${DEFAULT-VALUE}).")
  private int lanes;

  @Option(
      names = "--micro-batch",
      paramLabel = "ROWS",
      defaultValue = "16",
      description =
          "Responses of a lane whose log-probabilities are computed together, on average (default: ${DEFAULT-VALUE}).")
  private int microBatch;

  @Option(
      names = "--output",
      paramLabel = "DIR",
      description =
          "A folder to write as well: Parquet files with a row per response that is kept, as a trainer takes it; must not exist yet (default: only tables).")
  private String output;

  @Mixin private ScoreSelection selection;

  @Override
  protected void validate(Given given) {
    Given.requirePositive("temperature", temperature);
    Given.requireNotNegative("kl-coefficient", klCoefficient);
    Given.requireCount("part", part);
    Given.requireCount("micro-batch", microBatch);
    Given.requireLanes(lanes);
    if (policy == null && logProbabilities == null) {
      given.refuse(Set.of("kl-coefficient"), "there is no KL without --logprobs or --policy");
    }
    selection.validate(given);
  }

  @Override
  protected boolean usesTransformers() {
    return true;
  }

  @Override
  protected List<String> inputFingerprints(JobContext context) {
    List<String> fingerprints = new ArrayList<>();
    fingerprints.add(input.fingerprint(context.spark()));
    fingerprints.addAll(source.fingerprints());
    fingerprints.add(ModelDirectories.digest(reference));
    if (policy != null) {
      fingerprints.add(ModelDirectories.digest(policy));
    }
    return fingerprints;
  }

  @Override
  protected List<String> lostOutputs(SparkSession spark, Run run) {
    return ParquetFolder.lost(spark, output);
  }

  @Override
  protected Map<String, Object> execute(JobContext context) {
    if (output != null) {
      new ParquetFolder(context.spark(), output).requireFree();
    }
    requireCondition(ExternalResponses.none(context.spark()));
    RewardModel reward = source.load();
    ExternalResponses responses =
        new ExternalResponses(
            context.spark(),
            new ExternalResponses.Measures(
                reward,
                languageModel(reference),
                policy == null ? null : languageModel(policy),
                new LaneSettings(lanes, microBatch, 0),
                temperature,
                klCoefficient,
                rule));
    Dataset<Row> rows =
        identified(input.rows(context), reward).persist(StorageLevel.MEMORY_AND_DISK());
    try {
      long count = rows.count();
      workMissing(context, responses, rows, Math.toIntExact((count + part - 1) / part));
      Map<String, Object> summary = summary(context, count);
      summary.putAll(selection.write(context.run(), source.name(), context.out()));
      if (output != null) {
        new ParquetFolder(context.spark(), output).write(context.run(), trainerRows(context));
        context.out().println("Rows for trainers in " + output);
      }
      return summary;
    } finally {
      rows.unpersist();
    }
  }

  private static LanguageModel languageModel(Path directory) {
    LanguageModel loaded = LanguageModel.load(directory);
    if (loaded.config().head() != TransformerConfig.Head.CAUSAL_LM) {
      throw JobFailure.usage(
          "Cannot take log-probabilities of " + directory + ": it is no language model");
    }
    return loaded;
  }

  /** The texts with their ids and what is known of their log-probabilities. */
  private Dataset<Row> identified(Dataset<Row> rows, RewardModel reward) {
    List<Column> carried = new ArrayList<>(source.columns(rows));
    carried.add(given(rows).as(ExternalResponses.GIVEN));
    Dataset<Row> texts = input.texts(rows, reward, carried.toArray(Column[]::new));
    if (!input.hasIds()) {
      Column[] others =
          Arrays.stream(texts.columns())
              .filter(name -> name.startsWith(ExternalResponses.GIVEN))
              .map(functions::col)
              .toArray(Column[]::new);
      return TextRows.withIds(texts.drop("row_id"), "row_id", others);
    }
    List<Row> repeated =
        texts.groupBy("row_id").count().where("row_id IS NULL OR count > 1").takeAsList(1);
    if (!repeated.isEmpty()) {
      throw JobFailure.dataQuality(
          "Cannot compare responses: id "
              + repeated.get(0).get(0)
              + " is null or occurs more than once");
    }
    return texts;
  }

  private Column given(Dataset<Row> rows) {
    if (logProbabilities == null) {
      return lit(null).cast(NUMBERS);
    }
    Column column = Inputs.expression(rows, "--logprobs", logProbabilities);
    DataType type = rows.select(column).schema().fields()[0].dataType();
    if (type instanceof NumericType) {
      return when(column.isNotNull(), array(column)).cast(NUMBERS);
    }
    boolean numbers = type instanceof ArrayType array && array.elementType() instanceof NumericType;
    if (!numbers) {
      throw JobFailure.usage(
          "Cannot use --logprobs '%s': it is of type %s and must be a number or an array of numbers"
              .formatted(logProbabilities, type.sql()));
    }
    return column.cast(NUMBERS);
  }

  /** The parts that no earlier attempt at this run has written. */
  private void workMissing(
      JobContext context, ExternalResponses responses, Dataset<Row> rows, int parts) {
    Set<Integer> written = context.run().writtenIterations(Table.SCORES);
    Progress progress = new Progress(context.out(), "advantages", parts);
    for (int number = 0; number < parts; number++) {
      // Whole groups: the responses to a prompt stand in one part.
      Dataset<Row> ofPart =
          rows.where(pmod(xxhash64(col(RewardModel.PROMPT)), lit(parts)).equalTo(number));
      if (written.contains(number) || ofPart.isEmpty()) {
        continue;
      }
      Dataset<Row> kept = kept(responses.worked(ofPart, number)).cache();
      context
          .run()
          .writeIteration(Table.ROLLOUTS, number, ExternalResponses.rollouts(kept).coalesce(1));
      // Last: a part whose scores are there is done.
      context.run().writeIteration(Table.SCORES, number, scores(kept).coalesce(1));
      progress.step(number + 1L, "%d of %d responses kept".formatted(kept.count(), ofPart.count()));
      kept.unpersist();
    }
    context.run().removeIterationsAfter(Table.ROLLOUTS, parts - 1);
    context.run().removeIterationsAfter(Table.SCORES, parts - 1);
  }

  private void requireCondition(Dataset<Row> worked) {
    if (filter == null) {
      return;
    }
    DataType type =
        worked
            .select(Inputs.expression(worked, "--filter", filter))
            .schema()
            .fields()[0]
            .dataType();
    if (!type.equals(DataTypes.BooleanType)) {
      throw JobFailure.usage(
          "Cannot use --filter '%s': it is of type %s and must be a condition"
              .formatted(filter, type.sql()));
    }
  }

  private Dataset<Row> kept(Dataset<Row> worked) {
    return filter == null
        ? worked
        : worked.where(coalesce(Inputs.expression(worked, "--filter", filter), lit(false)));
  }

  private Dataset<Row> scores(Dataset<Row> kept) {
    return kept.select(
        col(Run.ITERATION),
        col("rollout_id").as("row_id"),
        col(RewardModel.PROMPT),
        col(RewardModel.RESPONSE),
        col(RewardModel.SCORE),
        lit(source.name()).as("model"),
        col("truncated"));
  }

  /** What a trainer takes: one row per response, its group, tokens and one advantage. */
  private static Dataset<Row> trainerRows(JobContext context) {
    return context
        .run()
        .rows(Table.ROLLOUTS)
        .selectExpr(
            "rollout_id",
            "prompt_id AS group_id",
            "prompt",
            "response",
            "prompt_tokens",
            "response_tokens",
            "coalesce(sampler_logprobs, logprobs) AS logprobs",
            "ref_logprobs",
            "score",
            "kl",
            "advantages[0] AS advantage");
  }

  private static Map<String, Object> summary(JobContext context, long count) {
    Row totals =
        context
            .run()
            .rows(Table.ROLLOUTS)
            .selectExpr(
                "count(*)",
                "count(DISTINCT prompt_id)",
                // Decimals add up to the same in any order.
                "cast(avg(cast(score AS DECIMAL(30, 12))) AS DOUBLE)",
                "cast(avg(cast(kl AS DECIMAL(30, 12))) AS DOUBLE)",
                "count_if(advantages IS NULL)")
            .first();
    if (totals.getLong(0) == 0) {
      throw JobFailure.dataQuality("Cannot compare responses: none of %d is kept".formatted(count));
    }
    context
        .out()
        .printf(
            Locale.ROOT,
            "%,d of %,d responses kept, to %,d prompts: mean score %.4f, KL %s nats; %,d without another response to their prompt have no advantage%n",
            totals.getLong(0),
            count,
            totals.getLong(1),
            totals.getDouble(2),
            totals.isNullAt(3)
                ? "unknown"
                : String.format(Locale.ROOT, "%.3f", totals.getDouble(3)),
            totals.getLong(4));
    Map<String, Object> summary = new LinkedHashMap<>();
    summary.put("responses", count);
    summary.put("kept", totals.getLong(0));
    summary.put("prompts", totals.getLong(1));
    summary.put("mean_score", totals.getDouble(2));
    summary.put("mean_kl", totals.isNullAt(3) ? null : totals.getDouble(3));
    summary.put("lone", totals.getLong(4));
    return summary;
  }
}
