package io.github.sparkrlhf.feedback;

import static org.apache.spark.sql.functions.coalesce;
import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.count;
import static org.apache.spark.sql.functions.lit;
import static org.apache.spark.sql.functions.min_by;
import static org.apache.spark.sql.functions.struct;

import io.github.sparkrlhf.tables.Table;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.storage.StorageLevel;

/**
 * Feedback from one or more logs, every row either a comparison or in quarantine with a reason.
 * Nothing depends on the order of rows, on partitions, or on how the logs are cut into files.
 *
 * <p>The checked rows are kept in Spark's cache until {@link #close}.
 */
public final class Feedback implements AutoCloseable {
  /**
   * How many rows were put into quarantine for a reason.
   *
   * @param reason the code
   * @param rows how many
   * @param example the id of one of them
   * @param detail what was wrong with that one; may be null
   */
  public record ReasonCount(String reason, long rows, String example, String detail) {}

  private final Dataset<Row> checked;
  private final Splits splits;

  private Feedback(Dataset<Row> checked, Splits splits) {
    this.checked = checked.persist(StorageLevel.MEMORY_AND_DISK());
    this.splits = splits;
  }

  /** Collects logs, then checks all their rows together. */
  public static final class Builder {
    private final FeedbackColumns columns;
    private final Splits splits;
    private final List<Dataset<Row>> logs = new ArrayList<>();

    /**
     * A collection without logs.
     *
     * @param columns where the parts of a comparison are, in every log
     * @param splits how comparisons are dealt into splits
     */
    public Builder(FeedbackColumns columns, Splits splits) {
      this.columns = columns;
      this.splits = splits;
    }

    /** Adds a log; {@code source} is the name that its rows carry. */
    public Builder add(Dataset<Row> log, String source) {
      logs.add(FeedbackLog.read(log, columns, source));
      return this;
    }

    /** The rows of all logs, checked. */
    public Feedback check() {
      Dataset<Row> all =
          logs.stream()
              .reduce(Dataset::unionByName)
              .orElseThrow(() -> new IllegalStateException("There is no log"));
      return new Feedback(FeedbackChecks.checked(all), splits);
    }
  }

  /** How many rows all logs have together. */
  public long rows() {
    return checked.count();
  }

  /** The rows in quarantine by reason, in the order of the codes. */
  public List<ReasonCount> quarantineCounts() {
    Column order = struct(col("feedback_id"), coalesce(col("detail"), lit("")));
    return checked
        .where(col("reason").isNotNull())
        .groupBy("reason")
        .agg(count(lit(1)), min_by(col("feedback_id"), order), min_by(col("detail"), order))
        .sort("reason")
        .collectAsList()
        .stream()
        .map(r -> new ReasonCount(r.getString(0), r.getLong(1), r.getString(2), r.getString(3)))
        .toList();
  }

  /** The usable rows, with the columns of the table {@code comparisons}. */
  public Dataset<Row> comparisons() {
    return columnsOf(
        Table.COMPARISONS,
        checked.where(col("reason").isNull()).withColumn("split", splits.column(col("group_key"))));
  }

  /** The other rows, with the columns of the table {@code quarantine}. */
  public Dataset<Row> quarantine() {
    return columnsOf(Table.QUARANTINE, checked.where(col("reason").isNotNull()));
  }

  @Override
  public void close() {
    checked.unpersist();
  }

  private static Dataset<Row> columnsOf(Table table, Dataset<Row> rows) {
    Column[] columns =
        Arrays.stream(table.schema().fieldNames())
            .filter(name -> !name.equals(Table.RUN_ID))
            .map(rows::col)
            .toArray(Column[]::new);
    return rows.select(columns);
  }
}
