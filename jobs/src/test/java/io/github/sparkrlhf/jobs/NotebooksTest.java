package io.github.sparkrlhf.jobs;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;

/** The notebooks as they are kept; {@link QuickstartIT} runs their queries. */
class NotebooksTest {
  private static final long GREATEST_BYTES = 200_000;

  @Test
  void thereAreFourAndTheyAreExecutedWithoutErrorAndSmall() throws IOException {
    assertThat(Notebooks.files()).hasSize(4);
    for (Path notebook : Notebooks.files()) {
      assertThat(Files.size(notebook)).as(notebook.toString()).isLessThan(GREATEST_BYTES);
      for (JsonNode cell : Notebooks.cells(notebook)) {
        if (cell.get("cell_type").asText().equals("code")) {
          assertThat(cell.get("execution_count").isInt())
              .as(Notebooks.text(cell.get("source")))
              .isTrue();
          assertThat(Notebooks.outputs(cell))
              .noneMatch(output -> output.get("output_type").asText().equals("error"));
        }
      }
    }
  }
}
