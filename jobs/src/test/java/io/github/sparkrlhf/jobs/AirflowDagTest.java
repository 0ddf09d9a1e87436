package io.github.sparkrlhf.jobs;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import picocli.CommandLine.ParseResult;

/** conf/airflow/rlhf_dag.py with stand-ins for Airflow: what it submits, and what it does then. */
class AirflowDagTest {
  private static final Path HOME = Path.of("..");
  private static final String DATE = "2026-01-04";
  private static final String RUN = "20260104_b";
  private static final Pattern TABLE = Pattern.compile("CREATE TABLE IF NOT EXISTS (\\S+) AS");

  @TempDir private Path folder;
  private Map<String, String> environment;

  @BeforeAll
  static void needsPython() {
    assumeTrue(AirflowDag.pythonIsThere(), "python3 is missing");
  }

  @BeforeEach
  void connectsToSpark() {
    environment = new HashMap<>();
    environment.put(
        "AIRFLOW_CONN_SPARK_DEFAULT", "{\"conn_type\":\"spark\",\"host\":\"spark://host:7077\"}");
  }

  @Test
  void everyTaskSubmitsACommandLineOfTheSuite() throws IOException {
    JsonNode tasks = graph(DATE).get("tasks");
    assertThat(tasks.findValuesAsText("task_id"))
        .containsExactly(
            "pairs",
            "examples",
            "tokenizer",
            "sft",
            "reward_1",
            "reward_2",
            "rollout_before",
            "ppo",
            "rollout_after",
            "evaluate",
            "report");
    for (JsonNode task : tasks) {
      List<String> command = words(task);
      assertThat(command)
          .startsWith("spark-submit", "--master", "spark://host:7077")
          .containsSequence("--conf", "spark.rlhf.run=" + RUN)
          .containsSequence("--properties-file", HOME + "/conf/spark-defaults.conf")
          .containsSequence("--class", Main.class.getName())
          .containsSequence("--deploy-mode", "client", HOME + "/spark-rlhf.jar");
      ParseResult parsed =
          Main.commandLine(System.out, System.err)
              .parseArgs(jobArguments(task).toArray(String[]::new))
              .subcommand();
      if (parsed.commandSpec().userObject() instanceof JobCommand job) {
        job.validate(new Given(parsed));
        assertThat(parsed.hasMatchedOption("--run-id")).isTrue();
      }
    }
  }

  @Test
  void aTaskUsesOnlyWhatTasksBeforeItMadeOfTheSameDate() throws IOException {
    JsonNode tasks = graph(DATE).get("tasks");
    Map<String, String> makers = new LinkedHashMap<>();
    Map<String, Set<String>> before = new HashMap<>();
    for (JsonNode task : tasks) {
      String name = task.get("task_id").asText();
      Set<String> ancestors = new HashSet<>();
      for (JsonNode upstream : task.get("upstream")) {
        ancestors.add(upstream.asText());
        ancestors.addAll(before.get(upstream.asText()));
      }
      before.put(name, ancestors);
      Set<String> made = made(task);
      for (String word : jobArguments(task)) {
        String used = word.replaceFirst("^\\w+=", "").replaceFirst("/policy$", "");
        boolean ofTheLog = name.equals("pairs") && used.equals("hdfs:///rlhf/votes/" + DATE);
        if (used.contains("2026") && !made.contains(used) && !ofTheLog) {
          assertThat(ancestors).as(name + " uses " + used).contains(makers.get(used));
        }
      }
      made.forEach(each -> makers.put(each, name));
    }
    assertThat(makers.keySet()).allMatch(each -> each.contains(RUN));
    assertThat(before.get("report")).hasSize(tasks.size() - 1);
  }

  @Test
  void anotherDateSharesNoRunAndNoFolder() throws IOException {
    Set<String> made = new HashSet<>();
    int count = 0;
    for (String date : List.of(DATE, "2026-01-11")) {
      for (JsonNode task : graph(date).get("tasks")) {
        made.addAll(made(task));
        count += made(task).size();
      }
    }
    assertThat(made).hasSize(count).hasSizeGreaterThan(30);
  }

  @Test
  void triesAgainAndRunsOneDateAtATime() throws IOException {
    JsonNode graph = graph(DATE);
    assertThat(graph.get("max_active_runs").asInt()).isEqualTo(1);
    assertThat(graph.get("catchup").asBoolean()).isFalse();
    assertThat(graph.get("tasks"))
        .allSatisfy(
            task -> {
              assertThat(task.get("retries").asInt()).isEqualTo(2);
              assertThat(task.get("retry_seconds").asDouble()).isEqualTo(300);
              assertThat(task.get("trigger_rule").asText()).isEqualTo("all_success");
            });
  }

  @Test
  void thePageHasThePoolsAndTheParametersWithTheirDefaults() throws IOException {
    JsonNode graph = graph(DATE);
    String page = Files.readString(HOME.resolve("docs/airflow.md"));
    assertThat(new HashSet<>(graph.get("tasks").findValuesAsText("pool")))
        .containsExactlyInAnyOrder("rlhf_tables", "rlhf_training")
        .allSatisfy(pool -> assertThat(page).contains("airflow pools set " + pool + " "));
    assertThat(graph.get("params").fields())
        .toIterable()
        .hasSize(5)
        .allSatisfy(
            param -> {
              String value = param.getValue().asText();
              String shown = value.isEmpty() ? "none" : "`" + value + "`";
              assertThat(page).contains("| `" + param.getKey() + "` | " + shown + " |");
            });
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "deploy_mode=\"client\" | deploy_mod=\"client\" | does not know the arguments ['deploy_mod']",
        "\"retries\": 2 | \"retry\": 2 | does not know the arguments ['retry']",
        "max_active_runs=1 | max_active_run=1 | unexpected keyword argument 'max_active_run'"
      })
  void theStandInsTakeNoArgumentThatAirflowDoesNotTake(String from, String to, String message)
      throws IOException {
    String dag = Files.readString(AirflowDag.FILE);
    assertThat(dag).contains(from);
    Path changed = Files.writeString(folder.resolve("changed.py"), dag.replace(from, to));
    AirflowDag.Result result = new AirflowDag(changed, folder, environment).graph(DATE);
    assertThat(result.exitCode()).isNotZero();
    assertThat(result.log()).contains(message);
  }

  @Test
  void aSuffixThatIsNoPartOfATableNameIsRefused() throws IOException {
    AirflowDag.Result result =
        new AirflowDag(AirflowDag.FILE, folder, environment).graph(DATE, "suffix=-2");
    assertThat(result.exitCode()).isNotZero();
    assertThat(result.log()).contains("'-2' does not match");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      nullValues = "none",
      value = {
        "pairs    | exit 3 | pairs=skipped/1 examples=skipped/0 evaluate=skipped/0 report=skipped/0"
            + " | rlhf.pairs of 2026-01-04: exit code 3, data quality",
        "reward 2 | exit 3 | reward_1=success/1 reward_2=skipped/1 rollout_before=success/1"
            + " ppo=skipped/0 report=skipped/0 | rlhf.reward_2 of 2026-01-04: exit code 3",
        "sft      | exit 2 | tokenizer=success/1 sft=failed/1 reward_1=upstream_failed/0"
            + " report=upstream_failed/0 | rlhf.sft of 2026-01-04: exit code 2: trying again would",
        "sft      | exit 1 | sft=failed/3 ppo=upstream_failed/0 | Error code is: 1.",
        "sft      | kill -9 $$ | sft=failed/3 ppo=upstream_failed/0 | Error code is: -9.",
        "sft      | if [ ! -e tried ]; then touch tried; exit 1; fi | sft=success/2 report=success/1 | none"
      })
  void theExitCodeDecidesWhatBecomesOfTheTask(
      String job, String behaviour, String states, String alert) throws IOException {
    // The number of the half follows the job's argument file.
    String[] jobAndHalf = job.split(" ", -1);
    String pattern =
        "*' %s @'*%s".formatted(jobAndHalf[0], jobAndHalf.length > 1 ? "' --half 2 '*" : "");
    Path command = folder.resolve("spark-submit");
    Files.writeString(
        command,
        "#!/bin/sh\ncd '%s'\ncase \"$*\" in %s) %s;; esac\n".formatted(folder, pattern, behaviour));
    Files.setPosixFilePermissions(command, PosixFilePermissions.fromString("rwxr-xr-x"));
    environment.put("PATH", folder + ":" + System.getenv("PATH"));
    try (AirflowAlerts alerts = new AirflowAlerts()) {
      environment.put("AIRFLOW_VAR_RLHF_ALERT_URL", alerts.url());
      AirflowDag.Result result =
          new AirflowDag(AirflowDag.FILE, folder, environment).run(Duration.ofMinutes(1), DATE);
      assertThat(result.exitCode()).as(result.log()).isZero();
      for (String state : states.split(" ", -1)) {
        JsonNode task = result.result().get(state.substring(0, state.indexOf('=')));
        assertThat(task.get("state").asText() + "/" + task.get("tries"))
            .as(state)
            .isEqualTo(state.substring(state.indexOf('=') + 1));
      }
      if (alert == null) {
        assertThat(alerts.bodies()).isEmpty();
      } else {
        assertThat(alerts.bodies()).singleElement().asString().contains(alert);
      }
    }
  }

  private JsonNode graph(String date) throws IOException {
    AirflowDag.Result result =
        new AirflowDag(AirflowDag.FILE, folder, environment)
            .graph(date, "home=" + HOME, "suffix=_b");
    assertThat(result.exitCode()).as(result.log()).isZero();
    return result.result();
  }

  /** The run and the folder or file that a task makes; of the statements their tables. */
  private static Set<String> made(JsonNode task) throws IOException {
    List<String> arguments = jobArguments(task);
    Set<String> made = new HashSet<>();
    for (String option : List.of("--run-id", "--output")) {
      int at = arguments.indexOf(option);
      if (at >= 0) {
        made.add(arguments.get(at + 1));
      }
    }
    int file = arguments.indexOf("--file");
    if (file >= 0) {
      Matcher tables = TABLE.matcher(Files.readString(Path.of(arguments.get(file + 1))));
      String run =
          words(task).stream().filter(word -> word.startsWith("spark.rlhf.run=")).findFirst().get();
      while (tables.find()) {
        made.add(tables.group(1).replace("${spark.rlhf.run}", run.substring(run.indexOf('=') + 1)));
      }
    }
    return made;
  }

  private static List<String> jobArguments(JsonNode task) {
    List<String> words = words(task);
    return words.subList(words.indexOf(HOME + "/spark-rlhf.jar") + 1, words.size());
  }

  private static List<String> words(JsonNode task) {
    List<String> words = new ArrayList<>();
    task.get("command").forEach(word -> words.add(word.asText()));
    return words;
  }
}
