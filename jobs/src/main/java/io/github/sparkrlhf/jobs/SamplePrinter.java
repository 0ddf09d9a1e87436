package io.github.sparkrlhf.jobs;

import io.github.sparkrlhf.ppo.PpoTrainer;
import io.github.sparkrlhf.ppo.RolloutRow;
import io.github.sparkrlhf.tables.Table;
import java.io.PrintStream;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.types.StructType;

/** Shows some responses of every few iterations to a person, and passes all on. */
final class SamplePrinter implements PpoTrainer.Recorder {
  private static final StructType SCHEMA = Table.ROLLOUTS.schemaWithoutRun();
  private static final int SAMPLES = 3;

  private final PpoTrainer.Recorder next;
  private final PrintStream out;
  private final int every;

  /**
   * A printer.
   *
   * @param every iterations; 0 for never
   */
  SamplePrinter(PpoTrainer.Recorder next, PrintStream out, int every) {
    this.next = next;
    this.out = out;
    this.every = every;
  }

  @Override
  public void record(int iteration, List<RolloutRow> rollouts, Map<String, Double> metrics) {
    next.record(iteration, rollouts, metrics);
    if (every > 0 && iteration % every == 0) {
      rollouts.stream()
          .limit(SAMPLES)
          .forEach(rollout -> out.println(sample(iteration, rollout.row())));
    }
  }

  private static String sample(int iteration, Row row) {
    return String.format(
        Locale.ROOT,
        "  iteration %d, score %.3f, KL %.3f nats%n    > %s%n    %s",
        iteration,
        row.getDouble(SCHEMA.fieldIndex("score")),
        row.getDouble(SCHEMA.fieldIndex("kl")),
        oneLine(row.getString(SCHEMA.fieldIndex("prompt"))),
        oneLine(row.getString(SCHEMA.fieldIndex("response"))));
  }

  /** Text that cannot move the cursor or look like another line of output. */
  private static String oneLine(String text) {
    return text.replace("\n", "\\n").replaceAll("\\p{Cntrl}", "\uFFFD");
  }
}
