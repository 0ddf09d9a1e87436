package io.github.sparkrlhf.jobs;

import io.github.sparkrlhf.feedback.FeedbackColumns;
import io.github.sparkrlhf.tables.Inputs;
import picocli.CommandLine.Option;

final class FeedbackOptions {
  @Option(names = "--prompt")
  private String prompt;

  @Option(names = "--response-a")
  private String responseA;

  @Option(names = "--response-b")
  private String responseB;

  @Option(names = "--choice")
  private String choice;

  @Option(names = "--annotator")
  private String annotator;

  @Option(names = "--created-at")
  private String createdAt;

  @Option(names = "--group")
  private String group;

  @Option(names = "--id")
  private String id;

  @Option(names = "--margin")
  private String margin;

  @Option(names = "--source")
  private String source;

  void validate() {}

  boolean acrossAnnotators() {
    return false;
  }

  FeedbackColumns columns() {
    return new FeedbackColumns(
        prompt, responseA, responseB, choice, annotator, createdAt, group, id, margin);
  }

  String source(String input) {
    return source == null ? Inputs.shortName(input) : source;
  }
}
