package io.github.sparkrlhf.jobs;

import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.lit;

import io.github.sparkrlhf.lm.ModelDirectories;
import io.github.sparkrlhf.reward.RewardModel;
import io.github.sparkrlhf.reward.RewardModels;
import io.github.sparkrlhf.spark.JobDescriptions;
import io.github.sparkrlhf.tables.Run;
import io.github.sparkrlhf.tables.Table;
import io.github.sparkrlhf.training.Progress;
import java.io.Serializable;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import org.apache.spark.rdd.PartitionPruningRDD;
import org.apache.spark.rdd.RDD;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.StructType;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import scala.runtime.AbstractFunction1;

/** Scores a table in bulk. */
@Command(
    name = "score",
    description = {
      "Scores every row of any table with prompt and response columns by a reward model of any kind. Writes a part of the scores at a time: an interrupted run goes on where it stopped.",
      "Each EXPRESSION is Spark SQL over the columns of the input."
    })
final class ScoreJob extends JobCommand {
  /** A part of many rows is read by so many tasks at most before it is dealt anew. */
  private static final int MOST_SLICES = 16;

  @Mixin private ScoreInput input;

  @Option(
      names = "--model",
      required = true,
      paramLabel = "DIR",
      description = "The reward model's directory.")
  private Path model;

  @Option(
      names = "--part",
      paramLabel = "ROWS",
      description =
          "Rows that are scored and written together, about; an interrupted run loses one part (default: 8192 for transformers, 131072 for other kinds).")
  private Integer part;

  @Option(
      names = "--output",
      paramLabel = "DIR",
      description =
          "A folder to write as well: Parquet files of the same rows with all their columns and a column score; must not exist yet (default: only the table scores).")
  private String output;

  @Mixin private ScoreSelection selection;

  @Override
  protected void validate(Given given) {
    if (part != null) {
      Given.requireCount("part", part);
    }
    selection.validate(given);
  }

  @Override
  protected boolean usesTransformers() {
    return true;
  }

  @Override
  protected List<String> inputFingerprints(JobContext context) {
    return List.of(ModelDirectories.digest(model), input.fingerprint(context.spark()));
  }

  @Override
  protected List<String> lostOutputs(SparkSession spark, Run run) {
    return ParquetFolder.lost(spark, output);
  }

  @Override
  protected Map<String, Object> execute(JobContext context) {
    RewardModel reward = RewardModels.load(model);
    String name = model.getFileName().toString();
    if (output != null) {
      new ParquetFolder(context.spark(), output).requireFree();
    }
    Dataset<Row> rows = input.rows(context);
    scoreMissing(context, reward, name, input.texts(rows, reward));
    Map<String, Object> summary = summary(context, reward, name);
    summary.putAll(selection.write(context.run(), name, context.out()));
    if (output != null) {
      new ParquetFolder(context.spark(), output).write(context.run(), withScores(context, rows));
      context.out().println("Rows with scores in " + output);
    }
    return summary;
  }

  /**
   * Scores the parts that no earlier attempt at this run has written. Which rows stand in a part
   * depends on their texts alone; equal texts stand in the same.
   */
  private void scoreMissing(
      JobContext context, RewardModel reward, String name, Dataset<Row> texts) {
    int size = part == null ? reward.rowsPerPart() : part;
    int parts = Math.toIntExact((texts.count() + size - 1) / size);
    int slices = Math.min(MOST_SLICES, context.spark().sparkContext().defaultParallelism());
    Dataset<Row> dealt =
        texts.repartition(parts * slices, col(RewardModel.PROMPT), col(RewardModel.RESPONSE));
    Dataset<Row> identified =
        input.hasIds() ? dealt : TextRows.withIds(dealt.drop("row_id"), "row_id");
    RDD<Row> all = identified.rdd();
    Set<Integer> written = context.run().writtenIterations(Table.SCORES);
    Progress progress = new Progress(context.out(), "score", parts);
    for (int number = 0; number < parts; number++) {
      if (!written.contains(number)) {
        Dataset<Row> rows = part(context.spark(), all, identified.schema(), number, parts);
        progress.step(number + 1L, scored(context, reward, name, number, rows));
      }
    }
    context.run().removeIterationsAfter(Table.SCORES, parts - 1);
  }

  /** Every {@code parts}-th partition: the same rows however many slices a part has. */
  private static Dataset<Row> part(
      SparkSession spark, RDD<Row> all, StructType schema, int number, int parts) {
    return spark.createDataFrame(
        PartitionPruningRDD.create(all, new EveryNth(number, parts)), schema);
  }

  /** Which partitions belong to a part. */
  private static final class EveryNth extends AbstractFunction1<Object, Object>
      implements Serializable {
    private static final long serialVersionUID = 1L;

    private final int number;
    private final int parts;

    EveryNth(int number, int parts) {
      this.number = number;
      this.parts = parts;
    }

    @Override
    public Object apply(Object partition) {
      return (int) partition % parts == number;
    }
  }

  private String scored(
      JobContext context, RewardModel reward, String name, int number, Dataset<Row> rows) {
    long startedNanos = System.nanoTime();
    Dataset<Row> scored =
        reward
            .score(rows.withColumn("truncated", reward.truncated()))
            .withColumn("model", lit(name))
            .withColumn(Run.ITERATION, lit(number));
    JobDescriptions.described(
        context.spark().sparkContext(),
        "score: part %d of %s by %s".formatted(number + 1, input.name(), name),
        () -> context.run().writeIteration(Table.SCORES, number, scored));
    double seconds = (System.nanoTime() - startedNanos) / 1e9;
    long count = context.run().rows(Table.SCORES).where(col(Run.ITERATION).equalTo(number)).count();
    return String.format(Locale.ROOT, "%d rows, %.0f rows/s", count, count / seconds);
  }

  private static Map<String, Object> summary(JobContext context, RewardModel reward, String name) {
    Row statistics =
        context
            .run()
            .rows(Table.SCORES)
            .selectExpr(
                "count(*)",
                // Decimals add up to the same in any order.
                "cast(avg(cast(score AS DECIMAL(30, 12))) AS DOUBLE)",
                "stddev(score)",
                "min(score)",
                "max(score)",
                "count_if(truncated)")
            .first();
    context
        .out()
        .printf(
            Locale.ROOT,
            "%d rows scored by %s (%s): mean %.4f, standard deviation %.4f, from %.4f to %.4f%n",
            statistics.getLong(0),
            name,
            reward.kind(),
            statistics.getDouble(1),
            statistics.isNullAt(2) ? Double.NaN : statistics.getDouble(2),
            statistics.getDouble(3),
            statistics.getDouble(4));
    if (statistics.getLong(5) > 0) {
      context
          .out()
          .printf("%d rows are longer than the model reads: truncated%n", statistics.getLong(5));
    }
    Map<String, Object> summary = new LinkedHashMap<>();
    summary.put("rows", statistics.getLong(0));
    summary.put("model", name);
    summary.put("mean", statistics.getDouble(1));
    summary.put("truncated", statistics.getLong(5));
    return summary;
  }

  /** All columns of the input and the score of the row's texts. */
  private Dataset<Row> withScores(JobContext context, Dataset<Row> rows) {
    Dataset<Row> scores =
        context
            .run()
            .rows(Table.SCORES)
            .select(
                col(RewardModel.PROMPT).as("scored_prompt"),
                col(RewardModel.RESPONSE).as("scored_response"),
                col(RewardModel.SCORE).as("row_score"))
            .dropDuplicates("scored_prompt", "scored_response");
    Column sameTexts =
        input
            .prompt(rows)
            .equalTo(col("scored_prompt"))
            .and(input.response(rows).equalTo(col("scored_response")));
    return rows.join(scores, sameTexts)
        .drop("scored_prompt", "scored_response")
        .withColumn(RewardModel.SCORE, col("row_score"))
        .drop("row_score");
  }
}
