package io.github.sparkrlhf.jobs;

import io.github.sparkrlhf.lm.ModelDirectories;
import io.github.sparkrlhf.reward.RewardModel;
import io.github.sparkrlhf.reward.RewardModels;
import java.nio.file.Path;
import java.util.List;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import picocli.CommandLine.Option;

/** Where the scores of responses come from. */
final class ScoreSourceOptions {
  @Option(
      names = "--model",
      paramLabel = "DIR",
      description = "The reward model's directory. Either this or --score.")
  private Path model;

  @Option(
      names = "--score",
      paramLabel = "EXPRESSION",
      description =
          "The score itself, such as what people said of the response: +1, 0 or -1. Either this or --model.")
  private String expression;

  /** What the tables call it. */
  String name() {
    return model == null ? "given" : model.getFileName().toString();
  }

  List<String> fingerprints() {
    return model == null ? List.of() : List.of(ModelDirectories.digest(model));
  }

  RewardModel load() {
    return model == null ? new GivenScores() : RewardModels.load(model);
  }

  /** What rows have to carry so that {@link #load} can score them. */
  List<Column> columns(Dataset<Row> rows) {
    return model == null ? List.of(GivenScores.of(rows, expression)) : List.of();
  }
}
