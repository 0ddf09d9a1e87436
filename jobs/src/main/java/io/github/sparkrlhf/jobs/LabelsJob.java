package io.github.sparkrlhf.jobs;

import io.github.sparkrlhf.feedback.LabellingFormat;
import io.github.sparkrlhf.spark.Failures;
import io.github.sparkrlhf.spark.JobFailure;
import io.github.sparkrlhf.tables.Inputs;
import io.github.sparkrlhf.tables.Run;
import io.github.sparkrlhf.tables.Table;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import org.apache.hadoop.fs.Path;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.StructType;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** Takes what people said of labelling tasks, as votes for {@code pairs}. */
@Command(
    name = "labels",
    description =
        "Takes what people said of labelling tasks from an export of Label Studio or Argilla, or a Parquet file, and writes it as a log of votes for the job pairs.")
final class LabelsJob extends JobCommand {
  private static final String PARQUET = "parquet";
  private static final Set<String> CHOICES = new TreeSet<>(Set.of("a", "b", "tie"));

  /** The columns by which {@code pairs} knows the parts of a comparison. */
  private static final StructType VOTES =
      StructType.fromDDL(
          "feedback_id STRING, prompt STRING, response_a STRING, response_b STRING,"
              + " choice STRING, annotator_id STRING, created_at STRING, source STRING");

  @Option(
      names = "--tasks-run",
      required = true,
      paramLabel = "ID",
      description = "The run of tasks that was labelled. Prompts and responses are taken from it.")
  private String tasksRun;

  @Option(
      names = "--input",
      required = true,
      paramLabel = "PATH",
      description =
          "What people said: a JSON file exported by Label Studio or Argilla, or Parquet with task_id, choice (a, b, tie), and, if known, annotator_id and created_at.")
  private String input;

  @Option(
      names = "--format",
      paramLabel = "NAME",
      defaultValue = "label-studio",
      description = "label-studio, argilla or parquet (default: ${DEFAULT-VALUE}).")
  private String format;

  @Option(
      names = "--output",
      required = true,
      paramLabel = "DIR",
      description = "Folder of Parquet to write, an input of pairs. Must not exist yet.")
  private String output;

  @Override
  protected void validate(Given given) {
    if (!format.equals(PARQUET)) {
      jsonFormat();
    }
  }

  private LabellingFormat jsonFormat() {
    for (LabellingFormat each : LabellingFormat.values()) {
      if (each.toString().equals(format)) {
        return each;
      }
    }
    throw JobFailure.usage(
        "There is no --format " + format + ": give label-studio, argilla or parquet");
  }

  @Override
  protected List<String> inputFingerprints(JobContext context) {
    return List.of(
        "labelling tasks of run " + context.tables().resolveRun(Table.LABELLING_TASKS, tasksRun),
        Inputs.fingerprint(context.spark(), input));
  }

  @Override
  protected List<String> lostOutputs(SparkSession spark, Run run) {
    return ParquetFolder.lost(spark, output);
  }

  @Override
  protected Map<String, Object> execute(JobContext context) {
    ParquetFolder folder = new ParquetFolder(context.spark(), output);
    folder.requireFree();
    String run = context.tables().resolveRun(Table.LABELLING_TASKS, tasksRun);
    Map<String, Row> tasks = new HashMap<>();
    for (Row task : context.tables().rows(Table.LABELLING_TASKS, run).collectAsList()) {
      tasks.put(task.getAs("task_id"), task);
    }
    List<LabellingFormat.Label> labels =
        format.equals(PARQUET) ? parquet(context) : json(context.spark());
    if (labels.isEmpty()) {
      throw JobFailure.dataQuality("Cannot use " + input + ": nothing in it is labelled");
    }
    List<Row> votes = votes(labels, tasks, run);
    folder.write(context.run(), context.spark().createDataFrame(votes, VOTES).coalesce(1));
    Set<String> labelled = new TreeSet<>();
    labels.forEach(label -> labelled.add(label.task()));
    Map<String, Object> summary = new LinkedHashMap<>();
    summary.put("votes", votes.size());
    summary.put("tasks_labelled", labelled.size());
    summary.put("tasks", tasks.size());
    context
        .out()
        .printf(
            Locale.ROOT,
            "%,d votes on %,d of %,d tasks in %s%n",
            votes.size(),
            labelled.size(),
            tasks.size(),
            output);
    return summary;
  }

  private List<Row> votes(
      List<LabellingFormat.Label> labels, Map<String, Row> tasks, String tasksRunId) {
    List<Row> votes = new ArrayList<>();
    Map<String, Integer> repetitions = new HashMap<>();
    for (LabellingFormat.Label label : labels) {
      Row task = tasks.get(label.task());
      if (task == null) {
        throw JobFailure.dataQuality(
            "Cannot use %s: task '%s' is none of run %s"
                .formatted(input, label.task(), tasksRunId));
      }
      if (label.choice() == null || !CHOICES.contains(label.choice())) {
        throw JobFailure.dataQuality(
            "Cannot use %s: choice '%s' of task '%s' is none of %s"
                .formatted(input, label.choice(), label.task(), CHOICES));
      }
      String id = label.task() + "-" + label.annotator();
      int before = repetitions.merge(id, 1, Integer::sum) - 1;
      votes.add(
          RowFactory.create(
              before == 0 ? id : id + "-" + before,
              task.getAs("prompt"),
              task.getAs("response_a"),
              task.getAs("response_b"),
              label.choice(),
              label.annotator(),
              label.createdAt(),
              tasksRunId));
    }
    return votes;
  }

  private List<LabellingFormat.Label> json(SparkSession spark) {
    Path path = new Path(input);
    try (InputStream file = path.getFileSystem(spark.sessionState().newHadoopConf()).open(path)) {
      return jsonFormat().read(new String(file.readAllBytes(), StandardCharsets.UTF_8));
    } catch (IOException e) {
      throw JobFailure.usage("Cannot read " + input + ": " + Failures.rootMessage(e));
    } catch (JobFailure e) {
      throw JobFailure.dataQuality("Cannot read " + input + ": " + e.getMessage());
    }
  }

  private List<LabellingFormat.Label> parquet(JobContext context) {
    Dataset<Row> rows = Inputs.read(context.spark(), context.tables(), input);
    List<String> columns = List.of(rows.columns());
    return rows
        .select(
            Inputs.expression(rows, "--input", "cast(task_id AS string)"),
            Inputs.expression(rows, "--input", "cast(choice AS string)"),
            Inputs.expression(rows, "--input", textOrNull(columns, "annotator_id")),
            Inputs.expression(rows, "--input", textOrNull(columns, "created_at")))
        .collectAsList()
        .stream()
        .map(
            row ->
                new LabellingFormat.Label(
                    row.getString(0), row.getString(1), row.getString(2), row.getString(3)))
        .toList();
  }

  private static String textOrNull(List<String> columns, String name) {
    return "cast(" + (columns.contains(name) ? name : "null") + " AS string)";
  }
}
