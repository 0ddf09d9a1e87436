package io.github.sparkrlhf.jobs;

import static org.apache.spark.sql.functions.col;

import io.github.sparkrlhf.lm.LanguageModel;
import io.github.sparkrlhf.ppo.PpoReplay;
import io.github.sparkrlhf.ppo.PpoTrainer;
import io.github.sparkrlhf.spark.JobFailure;
import io.github.sparkrlhf.spark.StableHash;
import io.github.sparkrlhf.tables.Json;
import io.github.sparkrlhf.tables.Run;
import io.github.sparkrlhf.tables.Table;
import io.github.sparkrlhf.tables.Tables;
import io.github.sparkrlhf.training.Checkpoint;
import io.github.sparkrlhf.training.Checkpoints;
import io.github.sparkrlhf.training.Trainables;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.functions;

/** A complete run of {@code ppo}: its rows, its checkpoints, and the job that made them. */
final class PastPpoRun implements PpoReplay.Past {
  private final SparkSession spark;
  private final Tables tables;
  private final String id;
  private final PpoJob job;
  private final PpoJob.Start start;
  private final String configurationDigest;
  private final Path checkpointDirectory;
  private Checkpoints checkpoints;

  /**
   * Reads the run's configuration and the models that it started from.
   *
   * @param checkpoints where they are; null for beside the run's output
   * @throws JobFailure usage, if a model has changed, or the threads of a matrix product are others
   */
  PastPpoRun(SparkSession spark, Tables tables, String id, Path checkpoints) {
    this.spark = spark;
    this.tables = tables;
    this.id = id;
    String configuration = tables.configurationOf(id).orElseThrow();
    Map<String, Object> options = Json.parsed(configuration);
    List<?> inputs = (List<?>) options.remove(JobCommand.INPUTS);
    Object threads = options.remove(JobCommand.TASK_CPUS);
    this.job = PpoJob.of(id, options);
    requireSame(inputs, threads);
    this.start = job.start();
    this.configurationDigest = StableHash.sha256(configuration);
    this.checkpointDirectory = CheckpointDirectories.path(checkpoints, job.output());
  }

  private void requireSame(List<?> inputs, Object threads) {
    if (!inputs.containsAll(job.modelDigests())) {
      throw JobFailure.usage(
          "Cannot replay run " + id + ": a model that it started from has changed since");
    }
    int here = spark.sparkContext().getConf().getInt(JobCommand.TASK_CPUS, 1);
    if (!Integer.valueOf(here).equals(threads)) {
      throw JobFailure.usage(
          "Cannot replay run %s: its %s was %s, here it is %d, and that decides the last bits"
              .formatted(id, JobCommand.TASK_CPUS, threads, here));
    }
  }

  @Override
  public int iterations() {
    return tables.rows(Table.ROLLOUTS, id).agg(functions.max(col(Run.ITERATION))).first().getInt(0);
  }

  /** What the run trained; the caller closes it. */
  Trainables networks() {
    return job.networks(spark, start);
  }

  /** The run's trainer. */
  PpoTrainer trainer(Trainables networks) {
    PpoTrainer trainer = new PpoTrainer(spark, networks, start.rewards(), job.settings());
    checkpoints =
        new Checkpoints(
            checkpointDirectory,
            configurationDigest,
            trainer.parameterLayout(),
            Checkpoints.DEFAULT_KEPT);
    return trainer;
  }

  @Override
  public List<Row> rollouts(int iteration) {
    // An iteration is one file; its order decides the order in which advantages are added up.
    return tables
        .rows(Table.ROLLOUTS, id)
        .where(col(Run.ITERATION).equalTo(iteration))
        .orderBy("_file", "_pos")
        .collectAsList();
  }

  @Override
  public Map<String, Double> metrics(int iteration) {
    Map<String, Double> metrics = new TreeMap<>();
    for (Row row :
        tables
            .rows(Table.PPO_METRICS, id)
            .where(col(Run.ITERATION).equalTo(iteration))
            .select("metric", "value")
            .collectAsList()) {
      metrics.put(row.getString(0), row.getDouble(1));
    }
    return metrics;
  }

  @Override
  public Optional<Checkpoint> checkpoint(int iterations) {
    return checkpoints.at(iterations);
  }

  @Override
  public List<LanguageModel> models() {
    return job.written().stream().filter(Files::exists).map(LanguageModel::load).toList();
  }
}
