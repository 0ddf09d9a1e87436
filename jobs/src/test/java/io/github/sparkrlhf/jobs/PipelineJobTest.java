package io.github.sparkrlhf.jobs;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.sparkrlhf.feedback.GoldReward;
import io.github.sparkrlhf.feedback.LabellingFormat;
import io.github.sparkrlhf.feedback.SimulatedLog;
import io.github.sparkrlhf.lm.LanguageModel;
import io.github.sparkrlhf.lm.TestTokenizers;
import io.github.sparkrlhf.lm.TransformerConfig;
import io.github.sparkrlhf.spark.SparkTestSession;
import io.github.sparkrlhf.tables.Table;
import io.github.sparkrlhf.tables.Tables;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class PipelineJobTest {
  private static final int TASKS = 6;
  private static final ObjectMapper MAPPER = new ObjectMapper();

  @TempDir private Path folder;

  /** Two simulated people label, by the gold reward, in the file that Label Studio would export. */
  @Test
  void aRoundAsksPeopleAndLearnsFromWhatTheySay() throws IOException {
    writeInputs();
    String asked = run();
    assertThat(asked)
        .contains("Round 1 of 1 waits for labels")
        .contains(at("labels.json").toString());
    assertThat(at("tasks"))
        .isDirectoryContaining("glob:**/argilla.json")
        .isDirectoryContaining("glob:**/label-studio.xml");
    List<Row> tasks = tables().rows(Table.LABELLING_TASKS, "pipeline-1-tasks").collectAsList();
    assertThat(tasks).hasSize(TASKS);
    assertThat(
            SparkTestSession.get()
                .read()
                .parquet(at("tasks").resolve("parquet").toString())
                .count())
        .isEqualTo(TASKS);
    assertThat(run()).contains("is already complete").contains("waits for labels");

    Files.writeString(
        at("labels.json"), labelled(Files.readString(at("tasks").resolve("label-studio.json"))));
    assertThat(run()).contains("12 votes on 6 of 6 tasks").contains("Policy in ");
    List<Row> votes =
        tables()
            .rows(Table.COMPARISONS, "pipeline-1-pairs")
            .filter("source = 'pipeline-1-tasks'")
            .collectAsList();
    assertThat(votes).hasSize(2 * TASKS);
    assertThat(votes).extracting(row -> row.<String>getAs("pair_id")).containsAll(ids(tasks));
    assertThat(ancestors(tables(), "pipeline-1-ppo"))
        .contains(
            "pipeline-1-reward-1",
            "pipeline-1-reward-2",
            "pipeline-1-pairs",
            "pipeline-1-labels",
            "pipeline-1-tasks",
            "pipeline-1-rollout",
            "pipeline-0-pairs");
    assertThat(LanguageModel.load(at("ppo").resolve("policy")).weights())
        .isNotEqualTo(LanguageModel.load(folder.resolve("policy")).weights());

    // The pairs that people have compared are not asked again.
    CommandLineRun again =
        CommandLineRun.of(
            "tasks",
            "--rollouts-run",
            "pipeline-1-rollout",
            "--reward",
            at("reward-1").toString(),
            "--choose-by",
            "margin",
            "--labelled-run",
            "pipeline-1-pairs",
            "--run-id",
            "again",
            "--output",
            folder.resolve("again").toString(),
            "--warehouse",
            folder.resolve("warehouse").toString());
    assertThat(again.exitCode()).as(again.err()).isZero();
    assertThat(ids(tables().rows(Table.LABELLING_TASKS, "again").collectAsList()))
        .isNotEmpty()
        .doesNotContainAnyElementsOf(ids(tasks));
    labelsThatAreNoneAreRefused(tasks.get(0).getAs("task_id"));
  }

  private void labelsThatAreNoneAreRefused(String task) throws IOException {
    refused("[]", "nothing in it is labelled");
    refused("{}", "it is no JSON array of tasks, as argilla exports it");
    refused(argilla("nobody", "a"), "task 'nobody' is none of run pipeline-1-tasks");
    refused(argilla(task, "both"), "choice 'both' of task '" + task + "' is none of [a, b, tie]");
  }

  private static String argilla(String task, String choice) {
    return """
        [{"id": "%s", "responses": {"choice": [{"value": "%s", "user_id": "u"}]}}]"""
        .formatted(task, choice);
  }

  private void refused(String json, String message) throws IOException {
    Path file = Files.writeString(folder.resolve("bad.json"), json);
    CommandLineRun run =
        CommandLineRun.of(
            "labels",
            "--tasks-run",
            "pipeline-1-tasks",
            "--input",
            file.toString(),
            "--format",
            "argilla",
            "--output",
            folder.resolve("bad").toString(),
            "--warehouse",
            folder.resolve("warehouse").toString());
    assertThat(run.exitCode()).isEqualTo(3);
    assertThat(run.err()).contains(file.toString()).contains(message);
    assertThat(folder.resolve("bad")).doesNotExist();
  }

  private void writeInputs() throws IOException {
    SparkSession spark = SparkTestSession.get();
    new SimulatedLog(spark, 1, 1000)
        .events()
        .withColumnRenamed("event_id", "feedback_id")
        .withColumnRenamed("annotator", "annotator_id")
        .write()
        .parquet(folder.resolve("votes").toString());
    spark
        .sql("SELECT 'p' || id AS prompt_id, 'Where is my order ' || id AS prompt FROM range(12)")
        .write()
        .parquet(folder.resolve("prompts").toString());
    TransformerConfig config = TransformerConfig.llama(259, 16, 24, 2, 2, 64);
    new LanguageModel(config, config.layout().initialWeights(5), TestTokenizers.bytes())
        .save(folder.resolve("policy"), Map.of());
    Files.writeString(
        folder.resolve("ppo.args"),
        "--iterations 1 --prompts-per-iteration 8 --epochs 1 --minibatches 1\n");
  }

  private String run() {
    CommandLineRun run =
        CommandLineRun.of(
            "pipeline",
            "--rounds",
            "1",
            "--dir",
            folder.resolve("rounds").toString(),
            "--votes",
            folder.resolve("votes").toString(),
            "--prompts",
            folder.resolve("prompts").toString(),
            "--policy",
            folder.resolve("policy").toString(),
            "--tasks",
            "" + TASKS,
            "--samples-per-prompt",
            "3",
            "--max-new-tokens",
            "12",
            "--ppo-args",
            folder.resolve("ppo.args").toString(),
            "--warehouse",
            folder.resolve("warehouse").toString());
    assertThat(run.exitCode()).as(run.out() + run.err()).isZero();
    return run.out();
  }

  /** With a catalog of its own, which has not cached what the tables were before a job. */
  private Tables tables() {
    return Tables.open(SparkTestSession.withWarehouse(folder.resolve("warehouse")), "rlhf", "rlhf");
  }

  private Path at(String name) {
    return folder.resolve("rounds").resolve("round-1").resolve(name);
  }

  private static List<String> ids(List<Row> tasks) {
    return tasks.stream().map(row -> row.<String>getAs("task_id")).toList();
  }

  private static String labelled(String tasks) throws IOException {
    ArrayNode array = (ArrayNode) MAPPER.readTree(tasks);
    array.forEach(
        task -> {
          double a = gold(task.path("data").path("prompt").asText(), task, "response_a");
          double b = gold(task.path("data").path("prompt").asText(), task, "response_b");
          for (int person = 1; person <= 2; person++) {
            ObjectNode annotation = ((ObjectNode) task).withArray("annotations").addObject();
            annotation.put("completed_by", person);
            ObjectNode result = annotation.putArray("result").addObject();
            result.put("from_name", LabellingFormat.CHOICE);
            result.putObject("value").putArray("choices").add(a == b ? "tie" : a > b ? "a" : "b");
          }
        });
    return MAPPER.writeValueAsString(array);
  }

  private static double gold(String prompt, JsonNode task, String response) {
    return GoldReward.of(prompt, task.path("data").path(response).asText());
  }

  private static Set<String> ancestors(Tables tables, String run) {
    Map<String, List<String>> parents = Lineage.parents(tables);
    Set<String> found = new TreeSet<>();
    List<String> open = new ArrayList<>(List.of(run));
    while (!open.isEmpty()) {
      for (String parent : parents.get(open.remove(0))) {
        if (found.add(parent)) {
          open.add(parent);
        }
      }
    }
    return found;
  }
}
