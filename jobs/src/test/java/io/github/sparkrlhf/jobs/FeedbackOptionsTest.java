package io.github.sparkrlhf.jobs;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.sparkrlhf.feedback.Layout;
import io.github.sparkrlhf.feedback.LogFormat;
import io.github.sparkrlhf.feedback.LogPart;
import io.github.sparkrlhf.feedback.PromptTemplate;
import io.github.sparkrlhf.feedback.Scale;
import io.github.sparkrlhf.spark.JobFailure;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import picocli.CommandLine;
import picocli.CommandLine.Command;

class FeedbackOptionsTest {
  @Test
  void withoutOptionsALogIsOfComparisons() {
    assertThat(format()).isEqualTo(LogFormat.of(Layout.COMPARISON));
  }

  @Test
  void optionsReplaceWhatTheLayoutSays() {
    assertThat(
            format(
                "--layout",
                "rating",
                "--scale",
                "1,100",
                "--template",
                "chatml",
                "--max-text-length",
                "9",
                "--source",
                "it's",
                "--response",
                "lower(r)"))
        .isEqualTo(
            new LogFormat(
                Layout.RATING,
                Map.of(LogPart.SOURCE, "'it\\'s'", LogPart.RESPONSE, "lower(r)"),
                new Scale(1, 100),
                PromptTemplate.CHATML,
                9));
  }

  @ParameterizedTest
  @EnumSource(value = LogPart.class, names = "SOURCE", mode = EnumSource.Mode.EXCLUDE)
  void everyPartHasItsOption(LogPart part) {
    assertThat(new CommandLine(new Holder()).getCommandSpec().findOption(part.option()))
        .isNotNull();
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "--layout=chat           | Cannot use --layout chat: the layouts are comparison,",
        "--template=jinja        | Cannot use --template jinja: the templates are plain, hh, chatml",
        "--scale=5               | Cannot use --scale 5: it must be two numbers LOW,HIGH",
        "--scale=5,1             | Cannot use --scale 5.0,1.0: it must be LOW,HIGH",
        "--max-text-length=0     | Cannot use --max-text-length 0: it must be at least 1",
        "--layout=rating         | Cannot read ratings without --scale LOW,HIGH",
        "--layout=hh --scale=1,5 | Cannot use --scale: the layout hh has no ratings on a scale",
        "--rating=x              | Cannot use --rating: it is no part of the layout comparison",
      })
  void whatDoesNotFitIsAUsageError(String options, String message) {
    assertThatThrownBy(() -> format(options.split(" ")))
        .isInstanceOf(JobFailure.class)
        .hasMessageStartingWith(message);
  }

  @Command
  private static final class Holder {
    @CommandLine.Mixin private FeedbackOptions options;
  }

  private static LogFormat format(String... arguments) {
    Holder holder = new Holder();
    new CommandLine(holder).parseArgs(arguments);
    return holder.options.format();
  }
}
