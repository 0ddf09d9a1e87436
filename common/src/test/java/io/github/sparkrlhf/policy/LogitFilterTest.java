package io.github.sparkrlhf.policy;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.sparkrlhf.spark.JobFailure;
import java.io.IOException;
import java.io.InputStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class LogitFilterTest {
  private static final JsonNode GOLDEN = golden();

  @ParameterizedTest
  @CsvSource({
    "temperature_0.7, 0.7, 1, 0, 1, 0",
    "top_k_5, 1, 1, 5, 1, 0",
    "top_p_0.9, 1, 1, 0, 0.9, 0",
    "top_p_0.5, 1, 1, 0, 0.5, 0",
    "min_p_0.1, 1, 1, 0, 1, 0.1",
    "repetition_1.3, 1, 1.3, 0, 1, 0",
    "temperature_0.7_top_k_8_top_p_0.9, 0.7, 1, 8, 0.9, 0"
  })
  void filtersAsTransformersDoes(
      String name, double temperature, double repetition, int topK, double topP, double minP) {
    LogitFilter filter = new LogitFilter(repetition, topK, topP, minP);
    JsonNode expected = GOLDEN.get(name);
    for (int row = 0; row < GOLDEN.get("logits").size(); row++) {
      int[] before = ints(GOLDEN.get("prev_ids").get(row));
      float[] filtered = filter.apply(floats(GOLDEN.get("logits").get(row)), temperature, before);
      TokenDistribution distribution = new TokenDistribution();
      distribution.set(filtered, 0, filtered.length, 1);
      for (int token = 0; token < filtered.length; token++) {
        JsonNode logit = expected.get("processed").get(row).get(token);
        if (logit.isNull()) {
          assertThat(filtered[token]).isEqualTo(Float.NEGATIVE_INFINITY);
        } else {
          assertThat((double) filtered[token]).isCloseTo(logit.asDouble(), within(1e-5));
        }
        assertThat(Math.exp(distribution.logProbability(token)))
            .isCloseTo(expected.get("probs").get(row).get(token).asDouble(), within(1e-5));
      }
    }
  }

  @Test
  void atLeastOneTokenIsLeft() {
    float[] logits = {1, 3, 2};
    assertThat(new LogitFilter(1, 1, 1e-9, 0.999).apply(logits, 1, new int[0]))
        .containsExactly(Float.NEGATIVE_INFINITY, 3, Float.NEGATIVE_INFINITY);
    assertThat(logits).containsExactly(1, 3, 2);
  }

  @ParameterizedTest
  @CsvSource({"0, 0, 1, 0", "1, -1, 1, 0", "1, 0, 0, 0", "1, 0, 1.1, 0", "1, 0, 1, 1"})
  void refusesWhatLeavesNothing(double repetition, int topK, double topP, double minP) {
    assertThatThrownBy(() -> new LogitFilter(repetition, topK, topP, minP))
        .isInstanceOf(JobFailure.class)
        .hasMessageStartingWith("Cannot sample: ");
  }

  private static JsonNode golden() {
    try (InputStream in =
        LogitFilterTest.class.getResourceAsStream("/golden/sampling/golden.json")) {
      return new ObjectMapper().readTree(in);
    } catch (IOException e) {
      throw new IllegalStateException(e);
    }
  }

  private static float[] floats(JsonNode array) {
    float[] values = new float[array.size()];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) array.get(i).asDouble();
    }
    return values;
  }

  private static int[] ints(JsonNode array) {
    int[] values = new int[array.size()];
    for (int i = 0; i < values.length; i++) {
      values[i] = array.get(i).asInt();
    }
    return values;
  }
}
