package io.github.sparkrlhf.feedback;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.sparkrlhf.spark.JobFailure;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** The JSON in which tools for labelling take tasks and give back what people said. */
public enum LabellingFormat {
  /**
   * Label Studio: tasks to import, and its export "JSON". A choice is that of the tag {@code
   * Choices} or {@code Pairwise} named {@code choice}.
   */
  LABEL_STUDIO {
    @Override
    void addTask(ObjectNode task, Task of) {
      ObjectNode data = task.putObject("data");
      data.put(TASK_ID, of.id());
      addTexts(data, of);
    }

    @Override
    void addLabels(JsonNode record, List<Label> labels) {
      String task = record.path("data").path(TASK_ID).asText(null);
      for (JsonNode annotation : record.path("annotations")) {
        boolean cancelled = annotation.path("was_cancelled").asBoolean();
        for (JsonNode result : annotation.path("result")) {
          if (!cancelled && result.path("from_name").asText().equals(CHOICE)) {
            labels.add(
                new Label(
                    task,
                    labelStudioChoice(result.path("value")),
                    person(annotation.path("completed_by")),
                    annotation.path("created_at").asText(null)));
          }
        }
      }
    }
  },

  /**
   * Argilla 2: {@code Dataset.records.from_json}, and {@code to_json} of a dataset with a question
   * named {@code choice}.
   */
  ARGILLA {
    @Override
    void addTask(ObjectNode task, Task of) {
      task.put("id", of.id());
      addTexts(task.putObject("fields"), of);
      for (String name : List.of("metadata", "suggestions", "responses", "vectors")) {
        task.putObject(name);
      }
    }

    @Override
    void addLabels(JsonNode record, List<Label> labels) {
      for (JsonNode response : record.path("responses").path(CHOICE)) {
        labels.add(
            new Label(
                record.path("id").asText(null),
                response.path("value").asText(null),
                response.path("user_id").asText(null),
                null));
      }
    }
  };

  /** The name of what is asked. */
  public static final String CHOICE = "choice";

  private static final String TASK_ID = "task_id";
  private static final ObjectMapper MAPPER = new ObjectMapper();

  /** A task as people see it. */
  public record Task(String id, String prompt, String responseA, String responseB) {}

  /**
   * What somebody said of a task.
   *
   * @param task its id; null if the file does not say
   * @param choice a, b or tie, if it is a valid one
   * @param annotator null if unknown
   * @param createdAt a time as text; null if unknown
   */
  public record Label(String task, String choice, String annotator, String createdAt) {}

  abstract void addTask(ObjectNode json, Task task);

  abstract void addLabels(JsonNode record, List<Label> labels);

  @Override
  public String toString() {
    return name().toLowerCase(Locale.ROOT).replace('_', '-');
  }

  /** The tasks as a JSON array to import. */
  public String write(List<Task> tasks) {
    ArrayNode array = MAPPER.createArrayNode();
    tasks.forEach(task -> addTask(array.addObject(), task));
    try {
      return MAPPER.writerWithDefaultPrettyPrinter().writeValueAsString(array) + "\n";
    } catch (JsonProcessingException e) {
      throw new IllegalStateException(e);
    }
  }

  /**
   * What people said, in the order of the file. Tasks that nobody has labelled say nothing.
   *
   * @throws JobFailure data quality, if it is no JSON array
   */
  public List<Label> read(String json) {
    JsonNode array;
    try {
      array = MAPPER.readTree(json);
    } catch (JsonProcessingException e) {
      throw JobFailure.dataQuality("it is no JSON: " + e.getOriginalMessage());
    }
    if (array == null || !array.isArray()) {
      throw JobFailure.dataQuality("it is no JSON array of tasks, as " + this + " exports it");
    }
    List<Label> labels = new ArrayList<>();
    array.forEach(record -> addLabels(record, labels));
    return labels;
  }

  private static void addTexts(ObjectNode json, Task task) {
    json.put("prompt", task.prompt());
    json.put("response_a", task.responseA());
    json.put("response_b", task.responseB());
  }

  private static String labelStudioChoice(JsonNode value) {
    JsonNode choices = value.path("choices");
    if (choices.size() == 1) {
      return choices.get(0).asText();
    }
    String selected = value.path("selected").asText(null);
    return Map.of("left", "a", "right", "b").getOrDefault(String.valueOf(selected), selected);
  }

  /** A number, or an object with an email address or id, by version of Label Studio. */
  private static String person(JsonNode completedBy) {
    if (!completedBy.isObject()) {
      return completedBy.asText(null);
    }
    Iterator<String> names = List.of("email", "id").iterator();
    String found = null;
    while (found == null && names.hasNext()) {
      found = completedBy.path(names.next()).asText(null);
    }
    return found;
  }

  /** The labelling interface of a Label Studio project for these tasks. */
  public static String labelStudioInterface() {
    return """
        <View>
          <Header value="Which response is better?"/>
          <Text name="prompt" value="$prompt"/>
          <View style="display: grid; grid-template-columns: 1fr 1fr; gap: 1em">
            <Text name="response_a" value="$response_a"/>
            <Text name="response_b" value="$response_b"/>
          </View>
          <Choices name="choice" toName="prompt" choice="single" required="true">
            <Choice value="a" hint="the left one"/>
            <Choice value="b" hint="the right one"/>
            <Choice value="tie" hint="neither"/>
          </Choices>
        </View>
        """;
  }
}
