package io.github.sparkrlhf.feedback;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.sparkrlhf.feedback.LabellingFormat.Label;
import io.github.sparkrlhf.feedback.LabellingFormat.Task;
import io.github.sparkrlhf.spark.JobFailure;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

class LabellingFormatTest {
  private static final List<Task> TASKS =
      List.of(new Task("t1", "Say \"hi\"", "<b>hi</b>", "ü"), new Task("t2", "p", "a", "b"));

  @Test
  void labelStudioTakesTheTasks() throws Exception {
    JsonNode tasks = new ObjectMapper().readTree(LabellingFormat.LABEL_STUDIO.write(TASKS));
    assertThat(tasks).hasSize(2);
    JsonNode data = tasks.get(0).path("data");
    assertThat(data.path("task_id").asText()).isEqualTo("t1");
    assertThat(data.path("prompt").asText()).isEqualTo("Say \"hi\"");
    assertThat(data.path("response_a").asText()).isEqualTo("<b>hi</b>");
    assertThat(data.path("response_b").asText()).isEqualTo("ü");
    for (String field : List.of("prompt", "response_a", "response_b")) {
      assertThat(LabellingFormat.labelStudioInterface()).contains("$" + field);
    }
  }

  @Test
  void argillaTakesTheRecords() throws Exception {
    JsonNode records = new ObjectMapper().readTree(LabellingFormat.ARGILLA.write(TASKS));
    assertThat(records.get(1).path("id").asText()).isEqualTo("t2");
    assertThat(records.get(1).path("fields").path("response_b").asText()).isEqualTo("b");
    assertThat(records.get(1).path("responses").isObject()).isTrue();
  }

  @Test
  void whatLabelStudioExports() {
    String export =
        """
        [{"id": 7, "data": {"task_id": "t1", "prompt": "p"}, "annotations": [
           {"id": 1, "completed_by": 10, "was_cancelled": false, "created_at": "2026-03-09T22:16:08Z",
            "result": [{"from_name": "choice", "type": "choices", "value": {"choices": ["b"]}}]},
           {"id": 2, "completed_by": {"id": 11, "email": "ann@example.org"},
            "result": [{"from_name": "note", "type": "textarea", "value": {"text": ["hm"]}},
                       {"from_name": "choice", "type": "pairwise", "value": {"selected": "left"}}]},
           {"id": 3, "completed_by": 12, "was_cancelled": true,
            "result": [{"from_name": "choice", "type": "choices", "value": {"choices": ["a"]}}]}]},
         {"id": 8, "data": {"task_id": "t2"}, "annotations": []},
         {"id": 9, "data": {"task_id": "t3"}, "annotations": [
           {"completed_by": null, "result": [
             {"from_name": "choice", "type": "choices", "value": {"choices": ["tie"]}}]}]}]
        """;
    assertThat(LabellingFormat.LABEL_STUDIO.read(export))
        .containsExactly(
            new Label("t1", "b", "10", "2026-03-09T22:16:08Z"),
            new Label("t1", "a", "ann@example.org", null),
            new Label("t3", "tie", null, null));
  }

  @Test
  void whatArgillaExports() {
    String export =
        """
        [{"id": "t1", "fields": {"prompt": "p"}, "metadata": {}, "suggestions": {}, "vectors": {},
          "responses": {"choice": [{"value": "a", "user_id": "u1"}, {"value": "tie", "user_id": "u2"}]},
          "_server_id": "x"},
         {"id": "t2", "fields": {}, "responses": {}}]
        """;
    assertThat(LabellingFormat.ARGILLA.read(export))
        .containsExactly(new Label("t1", "a", "u1", null), new Label("t1", "tie", "u2", null));
  }

  @ParameterizedTest
  @EnumSource
  void tasksThatNobodyHasLabelledSayNothing(LabellingFormat format) {
    assertThat(format.read(format.write(TASKS))).isEmpty();
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "{", "{\"data\": {}}", "7"})
  void whatIsNoExportIsRefused(String json) {
    assertThatThrownBy(() -> LabellingFormat.ARGILLA.read(json)).isInstanceOf(JobFailure.class);
  }
}
