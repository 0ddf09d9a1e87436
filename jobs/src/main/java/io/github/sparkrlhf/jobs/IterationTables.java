package io.github.sparkrlhf.jobs;

import io.github.sparkrlhf.ppo.PpoTrainer;
import io.github.sparkrlhf.ppo.RolloutRow;
import io.github.sparkrlhf.tables.Table;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;

/**
 * Writes the rows of each iteration as soon as it is done. They are invisible until the run is
 * complete, and a resumed run replaces those since its checkpoint by the same rows.
 */
final class IterationTables implements PpoTrainer.Recorder {
  private final JobContext context;

  IterationTables(JobContext context) {
    this.context = context;
  }

  @Override
  public void record(int iteration, List<RolloutRow> rollouts, Map<String, Double> metrics) {
    write(Table.ROLLOUTS, iteration, rollouts.stream().map(RolloutRow::row).toList());
    List<Row> rows = new ArrayList<>();
    metrics.forEach((name, value) -> rows.add(RowFactory.create(iteration, name, value)));
    write(Table.PPO_METRICS, iteration, rows);
  }

  private void write(Table table, int iteration, List<Row> rows) {
    Dataset<Row> frame =
        context.spark().createDataFrame(rows, table.schemaWithoutRun()).coalesce(1);
    context.run().writeIteration(table, iteration, frame);
  }
}
