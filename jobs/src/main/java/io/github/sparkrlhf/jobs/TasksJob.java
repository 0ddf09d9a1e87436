package io.github.sparkrlhf.jobs;

import static org.apache.spark.sql.functions.col;

import io.github.sparkrlhf.feedback.LabellingFormat;
import io.github.sparkrlhf.feedback.PairIdentity;
import io.github.sparkrlhf.lm.ModelDirectories;
import io.github.sparkrlhf.reward.LabellingTask;
import io.github.sparkrlhf.reward.RewardModel;
import io.github.sparkrlhf.reward.RewardModels;
import io.github.sparkrlhf.reward.TaskChoice;
import io.github.sparkrlhf.spark.JobFailure;
import io.github.sparkrlhf.tables.Run;
import io.github.sparkrlhf.tables.Table;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** Chooses what people should label next. */
@Command(
    name = "tasks",
    description =
        "Chooses which pairs of a policy's responses people should compare next, and writes them for Label Studio and Argilla and as Parquet.")
final class TasksJob extends JobCommand {
  @Option(
      names = "--rollouts-run",
      required = true,
      paramLabel = "ID",
      description =
          "A run of rollout with several responses to each prompt, or of ppo: then the final policy's.")
  private String rolloutsRun;

  @Option(
      names = "--reward",
      required = true,
      paramLabel = "DIR",
      description =
          "Reward model; several, learned from different pairs, can disagree. May be repeated.")
  private List<Path> rewards;

  @Option(
      names = "--choose-by",
      paramLabel = "RULE",
      defaultValue = "disagreement",
      description =
          "disagreement of the reward models, margin (both responses are about equally good) or random (default: ${DEFAULT-VALUE}). Pairs that are like those chosen before come later by any rule.")
  private TaskChoice.Rule rule;

  @Option(
      names = "--tasks",
      paramLabel = "N",
      defaultValue = "100",
      description = "At most so many tasks, one of a prompt (default: ${DEFAULT-VALUE}).")
  private int count;

  @Option(
      names = "--labelled-run",
      paramLabel = "ID",
      description = "A run of pairs whose pairs are not asked again. May be repeated.")
  private List<String> labelledRuns = List.of();

  @Option(
      names = "--seed",
      paramLabel = "NUMBER",
      defaultValue = "0",
      description = "Of --choose-by random (default: ${DEFAULT-VALUE}).")
  private long seed;

  @Option(
      names = "--output",
      required = true,
      paramLabel = "DIR",
      description =
          "Folder to write: label-studio.json and label-studio.xml, argilla.json, and the folder parquet. Must not exist yet.")
  private String output;

  @Override
  protected void validate(Given given) {
    Given.requireCount("tasks", count);
    if (rule == TaskChoice.Rule.DISAGREEMENT && rewards.size() < 2) {
      throw JobFailure.usage(
          "Cannot choose by disagreement with one reward model: give --reward twice, or --choose-by margin");
    }
  }

  @Override
  protected List<String> inputFingerprints(JobContext context) {
    List<String> fingerprints = new ArrayList<>();
    fingerprints.add("rollouts of run " + context.tables().resolveRun(Table.ROLLOUTS, rolloutsRun));
    labelledRuns.forEach(
        run -> fingerprints.add("pairs of run " + context.tables().resolveRun(Table.PAIRS, run)));
    rewards.forEach(reward -> fingerprints.add(ModelDirectories.digest(reward)));
    return fingerprints;
  }

  @Override
  protected List<String> lostOutputs(SparkSession spark, Run run) {
    return ParquetFolder.lost(spark, output);
  }

  @Override
  protected Map<String, Object> execute(JobContext context) {
    ParquetFolder folder = new ParquetFolder(context.spark(), output);
    folder.requireFree();
    List<LabellingTask> candidates = candidates(context);
    List<TaskChoice.Chosen> chosen = TaskChoice.choose(candidates, rule, count, seed);
    context.run().write(Table.LABELLING_TASKS, rows(context.spark(), chosen));
    Dataset<Row> tasks = context.run().rows(Table.LABELLING_TASKS).drop(Table.RUN_ID);
    List<LabellingFormat.Task> shown =
        chosen.stream()
            .map(TaskChoice.Chosen::task)
            .map(
                task ->
                    new LabellingFormat.Task(
                        task.id(), task.prompt(), task.responseA(), task.responseB()))
            .toList();
    Map<String, String> texts = new LinkedHashMap<>();
    for (LabellingFormat format : LabellingFormat.values()) {
      texts.put(format + ".json", format.write(shown));
    }
    texts.put("label-studio.xml", LabellingFormat.labelStudioInterface());
    folder.writeWith(context.run(), tasks.coalesce(1).orderBy("rank"), texts);
    return summary(context, candidates, chosen);
  }

  private Map<String, Object> summary(
      JobContext context, List<LabellingTask> candidates, List<TaskChoice.Chosen> chosen) {
    double ofTasks = meanDisagreement(chosen.stream().map(TaskChoice.Chosen::task).toList());
    double ofAll = meanDisagreement(candidates);
    Map<String, Object> summary = new LinkedHashMap<>();
    summary.put("candidates", candidates.size());
    summary.put("tasks", chosen.size());
    summary.put("mean_disagreement_of_candidates", ofAll);
    summary.put("mean_disagreement_of_tasks", ofTasks);
    context
        .out()
        .printf(
            Locale.ROOT,
            "%,d of %,d pairs in %s; disagreement %.4f nats, of all pairs %.4f%n",
            chosen.size(),
            candidates.size(),
            output,
            ofTasks,
            ofAll);
    return summary;
  }

  private static double meanDisagreement(List<LabellingTask> tasks) {
    return tasks.stream().mapToDouble(LabellingTask::disagreement).average().orElse(0);
  }

  /** All pairs of different responses to a prompt, with what the models say of them. */
  private List<LabellingTask> candidates(JobContext context) {
    Dataset<Row> scored = scored(context);
    List<String> scores = scoreNames();
    Dataset<Row> first = renamed(scored, "a");
    Dataset<Row> second = renamed(scored, "b");
    Dataset<Row> pairs =
        first
            .join(
                second,
                first
                    .col("prompt_a")
                    .equalTo(second.col("prompt_b"))
                    .and(first.col("response_a").lt(second.col("response_b"))))
            .withColumnRenamed("prompt_a", "prompt")
            .drop("prompt_b");
    Dataset<Row> asked = PairIdentity.added(pairs);
    for (String run : labelledRuns) {
      Dataset<Row> labelled =
          context
              .tables()
              .rows(Table.PAIRS, context.tables().resolveRun(Table.PAIRS, run))
              .select(col("pair_id").as("labelled_id"));
      asked = asked.join(labelled, col("pair_id").equalTo(col("labelled_id")), "left_anti");
    }
    // Which one people see first is decided by the id's last bit: as good as a coin.
    return asked.orderBy("pair_id").collectAsList().stream()
        .map(
            row -> {
              String id = row.getAs("pair_id");
              boolean turned = Character.digit(id.charAt(id.length() - 1), 16) % 2 == 1;
              double[] margins =
                  scores.stream()
                      .mapToDouble(
                          score ->
                              row.<Double>getAs(score + "_a") - row.<Double>getAs(score + "_b"))
                      .map(margin -> turned ? -margin : margin)
                      .toArray();
              String one = row.getAs("response_a");
              String other = row.getAs("response_b");
              return TaskChoice.task(
                  id, row.getAs("prompt"), turned ? other : one, turned ? one : other, margins);
            })
        .toList();
  }

  private List<String> scoreNames() {
    List<String> names = new ArrayList<>();
    for (int i = 0; i < rewards.size(); i++) {
      names.add("score_" + i);
    }
    return names;
  }

  /** The distinct responses, with a column for the score by each model. */
  private Dataset<Row> scored(JobContext context) {
    Dataset<Row> rows = finalRollouts(context).select("prompt", "response").distinct();
    List<String> names = scoreNames();
    for (int i = 0; i < names.size(); i++) {
      rows =
          RewardModels.load(rewards.get(i))
              .score(rows)
              .withColumnRenamed(RewardModel.SCORE, names.get(i));
    }
    return rows.localCheckpoint();
  }

  private Dataset<Row> finalRollouts(JobContext context) {
    String run = context.tables().resolveRun(Table.ROLLOUTS, rolloutsRun);
    Dataset<Row> rows = context.tables().rows(Table.ROLLOUTS, run);
    return Candidate.lastIteration(context, run)
        .map(last -> rows.where(col(Run.ITERATION).equalTo(last)))
        .orElse(rows);
  }

  private static Dataset<Row> renamed(Dataset<Row> rows, String suffix) {
    Dataset<Row> renamed = rows;
    for (String name : rows.columns()) {
      renamed = renamed.withColumnRenamed(name, name + "_" + suffix);
    }
    return renamed;
  }

  private static Dataset<Row> rows(SparkSession spark, List<TaskChoice.Chosen> chosen) {
    List<Row> rows = new ArrayList<>();
    for (TaskChoice.Chosen each : chosen) {
      LabellingTask task = each.task();
      rows.add(
          RowFactory.create(
              task.id(),
              rows.size() + 1,
              task.prompt(),
              task.responseA(),
              task.responseB(),
              task.probability(),
              task.disagreement(),
              each.similarity()));
    }
    return spark.createDataFrame(rows, Table.LABELLING_TASKS.schemaWithoutRun());
  }
}
