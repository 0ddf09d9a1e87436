package io.github.sparkrlhf.jobs;

import io.github.sparkrlhf.tables.Table;
import io.github.sparkrlhf.training.Trainer;
import io.github.sparkrlhf.training.Validation;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;

/** What a training did, as rows of a table with one row per step and metric. */
final class TrainingMetrics {
  private final Table table;
  private final List<Row> rows = new ArrayList<>();

  TrainingMetrics(Table table) {
    this.table = table;
  }

  /**
   * Adds all steps and measurements.
   *
   * @param ofStep metrics of an objective's sums
   * @param ofMeasurement likewise; their names are preceded by {@code validation_}
   */
  TrainingMetrics add(
      Trainer.Result result,
      Function<List<Double>, Map<String, Double>> ofStep,
      Function<List<Double>, Map<String, Double>> ofMeasurement) {
    for (Trainer.Step step : result.steps()) {
      add(step.step(), step.epoch(), "", ofStep.apply(step.sums()));
      add(step.step(), step.epoch(), "gradient_norm", step.gradientNorm());
      add(step.step(), step.epoch(), "lr", step.learningRate());
      add(step.step(), step.epoch(), "tokens", step.volume().tokens());
    }
    for (Validation.Measurement measured : result.measurements()) {
      add(measured.step(), measured.epoch(), "validation_", ofMeasurement.apply(measured.sums()));
    }
    return this;
  }

  /** Adds metrics under their names with a prefix. */
  TrainingMetrics add(int step, int epoch, String prefix, Map<String, Double> metrics) {
    metrics.forEach((name, value) -> add(step, epoch, prefix + name, value));
    return this;
  }

  private void add(int step, int epoch, String metric, double value) {
    rows.add(RowFactory.create(step, epoch, metric, value));
  }

  Dataset<Row> frame(SparkSession spark) {
    return spark.createDataFrame(rows, table.schemaWithoutRun());
  }
}
