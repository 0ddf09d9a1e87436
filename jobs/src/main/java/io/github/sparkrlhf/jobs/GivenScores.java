package io.github.sparkrlhf.jobs;

import static org.apache.spark.sql.functions.col;

import io.github.sparkrlhf.reward.RewardModel;
import io.github.sparkrlhf.spark.JobFailure;
import io.github.sparkrlhf.tables.Inputs;
import java.nio.file.Path;
import java.util.Map;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.NumericType;

/** What people or a program said of responses, in the place of a reward model's scores. */
record GivenScores() implements RewardModel {
  /** The column that rows have to carry. */
  static final String GIVEN = "given_score";

  /**
   * The scores of an input.
   *
   * @throws JobFailure usage, if the expression gives no number; data quality, if it gives null or
   *     no finite one
   */
  static Column of(Dataset<Row> rows, String expression) {
    Column column = Inputs.expression(rows, "--score", expression);
    DataType type = rows.select(column).schema().fields()[0].dataType();
    if (!(type instanceof NumericType)) {
      throw JobFailure.usage(
          "Cannot use --score '%s': it is of type %s and must be a number"
              .formatted(expression, type.sql()));
    }
    Column score = column.cast("double");
    long without =
        rows.where(
                score
                    .isNull()
                    .or(score.isNaN())
                    .or(score.equalTo(Double.POSITIVE_INFINITY))
                    .or(score.equalTo(Double.NEGATIVE_INFINITY)))
            .count();
    if (without > 0) {
      throw JobFailure.dataQuality(
          "Cannot compare responses: --score '%s' is no finite number for %d of them"
              .formatted(expression, without));
    }
    return score.as(GIVEN);
  }

  @Override
  public String kind() {
    return "given";
  }

  @Override
  public Dataset<Row> score(Dataset<Row> rows) {
    return rows.withColumn(SCORE, col(GIVEN));
  }

  @Override
  public void save(Path directory, Map<String, Object> provenance) {
    throw new UnsupportedOperationException("scores of an input are no model");
  }
}
