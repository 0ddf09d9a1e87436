package io.github.sparkrlhf.jobs;

import io.github.sparkrlhf.ppo.PpoTrainer;
import io.github.sparkrlhf.ppo.RolloutRow;
import io.github.sparkrlhf.tables.Table;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SaveMode;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.StructField;
import org.apache.spark.sql.types.StructType;

/**
 * Keeps the rows of each iteration beside the checkpoints, so that a resumed run publishes those of
 * the iterations before the interruption too.
 */
final class IterationStore implements PpoTrainer.Recorder {
  private final SparkSession spark;
  private final Path directory;

  IterationStore(SparkSession spark, Path directory) {
    this.spark = spark;
    this.directory = directory;
  }

  @Override
  public void record(int iteration, List<RolloutRow> rollouts, Map<String, Double> metrics) {
    write(Table.ROLLOUTS, iteration, rollouts.stream().map(RolloutRow::row).toList());
    List<Row> rows = new ArrayList<>();
    metrics.forEach((name, value) -> rows.add(RowFactory.create(iteration, name, value)));
    write(Table.PPO_METRICS, iteration, rows);
  }

  /** The responses of all iterations. */
  Dataset<Row> rollouts(int iterations) {
    return read(Table.ROLLOUTS, iterations);
  }

  /** The metrics of all iterations. */
  Dataset<Row> metrics(int iterations) {
    return read(Table.PPO_METRICS, iterations);
  }

  private void write(Table table, int iteration, List<Row> rows) {
    spark
        .createDataFrame(rows, schema(table))
        .coalesce(1)
        .write()
        .mode(SaveMode.Overwrite)
        .parquet(path(table, iteration));
  }

  private Dataset<Row> read(Table table, int iterations) {
    String[] paths =
        IntStream.range(0, iterations).mapToObj(i -> path(table, i)).toArray(String[]::new);
    return spark.read().schema(schema(table)).parquet(paths);
  }

  private String path(Table table, int iteration) {
    return directory
        .resolve("%s-%05d".formatted(table.tableName(), iteration))
        .toAbsolutePath()
        .toUri()
        .toString();
  }

  private static StructType schema(Table table) {
    StructField[] fields = table.schema().fields();
    return new StructType(Arrays.copyOfRange(fields, 1, fields.length));
  }
}
