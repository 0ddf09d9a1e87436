package io.github.sparkrlhf.training;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ProgressTest {
  @Test
  void aLineNamesTheWorkTheStepTheDetailAndTheTimeLeft() {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    Progress progress =
        new Progress(new PrintStream(out, true, StandardCharsets.UTF_8), "sft", 2000);
    progress.step(1990, "loss 1.5000");
    progress.note("perplexity 3.490");
    progress.step(2000, "loss 1.2500");
    assertThat(out.toString(StandardCharsets.UTF_8).lines())
        .satisfiesExactly(
            first -> assertThat(first).matches("sft 1990/2000: loss 1\\.5000, \\d+ s left"),
            note -> assertThat(note).isEqualTo("sft: perplexity 3.490"),
            last -> assertThat(last).isEqualTo("sft 2000/2000: loss 1.2500, 0 s left"));
  }

  @ParameterizedTest
  @CsvSource({
    "0.4, 0 s",
    "59.4, 59 s",
    "59.5, 1 min 00 s",
    "185, 3 min 05 s",
    "3599, 59 min 59 s",
    "3600, 1 h 00 min",
    "7859, 2 h 10 min",
    "360000, 100 h 00 min"
  })
  void durationsReadAsPeopleSayThem(double seconds, String text) {
    assertThat(Progress.duration(seconds)).isEqualTo(text);
  }
}
