package io.github.sparkrlhf.jobs;

import io.github.sparkrlhf.feedback.Feedback;
import io.github.sparkrlhf.spark.JobFailure;
import io.github.sparkrlhf.tables.Inputs;
import io.github.sparkrlhf.tables.Json;
import io.github.sparkrlhf.tables.Table;
import io.github.sparkrlhf.tables.Tables;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;

/** A run of {@code pairs} over what stood in the same logs earlier, with the same options. */
final class EarlierRun {
  private final JobContext context;
  private final String id;
  private final List<?> fingerprints;

  /**
   * @throws JobFailure usage, if the run is not complete or had other options
   */
  EarlierRun(JobContext context, String id) {
    this.context = context;
    this.id = id;
    Map<String, Object> earlier =
        Json.parsed(
            context
                .tables()
                .configurationOf(id)
                .orElseThrow(
                    () -> JobFailure.usage("There is no complete run '" + id + "' to go on from")));
    Map<String, Object> now = new TreeMap<>(Json.parsed(context.run().configuration()));
    now.remove(JobCommand.INPUTS);
    Map<String, Object> options = new TreeMap<>(earlier);
    options.remove(JobCommand.INPUTS);
    if (!options.equals(now)) {
      throw JobFailure.usage(
          "Cannot go on from run '" + id + "': it had other options: " + Json.sorted(options));
    }
    this.fingerprints = (List<?>) earlier.get(JobCommand.INPUTS);
  }

  /**
   * What an input has got since; empty if nothing.
   *
   * @param index the number of the input on the command line, from 0
   */
  Optional<Dataset<Row>> since(int index, String input) {
    return Inputs.since(context.spark(), input, String.valueOf(fingerprints.get(index)));
  }

  /** What the run made of the rows that it read. */
  Feedback.Base rows() {
    Tables tables = context.tables();
    return new Feedback.Base(
        tables.rows(Table.COMPARISONS, id),
        tables.rows(Table.RATINGS, id),
        tables.rows(Table.QUARANTINE, id));
  }
}
