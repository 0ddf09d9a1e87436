package io.github.sparkrlhf.feedback;

import static org.apache.spark.sql.functions.coalesce;
import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.max;
import static org.apache.spark.sql.functions.min;
import static org.apache.spark.sql.functions.row_number;
import static org.apache.spark.sql.functions.to_json;
import static org.apache.spark.sql.functions.when;
import static org.apache.spark.sql.functions.xxhash64;

import io.github.sparkrlhf.spark.Cached;
import io.github.sparkrlhf.spark.SmallSide;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.function.Function;
import java.util.stream.IntStream;
import org.apache.spark.api.java.function.MapPartitionsFunction;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Encoders;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.expressions.Window;
import org.apache.spark.sql.expressions.WindowSpec;

/**
 * Judgements whose id stands in the input more often than once: of copies one is kept, of
 * judgements that contradict each other none. Only ids are shuffled for all rows, and whole rows
 * where an id repeats.
 */
final class RepeatedIds implements AutoCloseable {
  private static final String HASH = JudgementLog.ID_HASH;

  private final List<JudgementLog> logs;
  private final Cached repeated;
  private final Cached suspects;
  private final Dataset<Row> rows;
  private final long count;

  /**
   * @param logs at least one
   */
  RepeatedIds(List<JudgementLog> logs) {
    this.logs = List.copyOf(logs);
    this.repeated = new Cached(repeated(union(JudgementLog::idHashes)));
    this.count = repeated.rows().count();
    Dataset<Row> few = SmallSide.of(repeated.rows(), count);
    this.suspects = new Cached(judged(union(log -> log.rowsOf(few))));
    Dataset<Row> all = union(JudgementLog::rows);
    Dataset<Row> judged =
        count == 0
            ? all
            : all.withColumn(HASH, xxhash64(col("feedback_id")))
                .join(few, new String[] {HASH}, "left_anti")
                .drop(HASH)
                .unionByName(suspects.rows());
    this.rows =
        judged
            .withColumn("row", when(col("reason").isNotNull(), json()))
            .drop(IntStream.range(0, logs.size()).mapToObj(RepeatedIds::raw).toArray(String[]::new))
            .drop("content");
  }

  /**
   * All rows as {@link JudgementLog} reads them, those that must not count with their reason; in
   * {@code row} the row of the log as JSON if there is a reason.
   */
  Dataset<Row> rows() {
    return rows;
  }

  /** The row of its log as JSON; it costs more than all else. */
  private Column json() {
    return coalesce(
        IntStream.range(0, logs.size())
            .mapToObj(log -> to_json(col(raw(log))))
            .toArray(Column[]::new));
  }

  @Override
  public void close() {
    repeated.close();
    suspects.close();
  }

  private static String raw(int log) {
    return LogParts.RAW + "_" + log;
  }

  /** Logs differ in the type of their rows: each has a column of its own. */
  private Dataset<Row> union(Function<JudgementLog, Dataset<Row>> rowsOf) {
    return IntStream.range(0, logs.size())
        .mapToObj(log -> rowsOf.apply(logs.get(log)).withColumnRenamed(LogParts.RAW, raw(log)))
        .reduce((rows, more) -> rows.unionByName(more, true))
        .orElseThrow(() -> new IllegalArgumentException("There is no log"));
  }

  /** The hashes that stand there more often than once. */
  private static Dataset<Row> repeated(Dataset<Row> hashes) {
    MapPartitionsFunction<Long, Long> twice = RepeatedIds::twice;
    // Nearly all differ: sorting them is cheaper than a hash table that finds nothing to add up.
    return hashes
        .repartition(col(HASH))
        .sortWithinPartitions(HASH)
        .as(Encoders.LONG())
        .mapPartitions(twice, Encoders.LONG())
        .toDF(HASH);
  }

  private static Iterator<Long> twice(Iterator<Long> sorted) {
    List<Long> repeated = new ArrayList<>();
    long previous = 0;
    int copies = 0;
    while (sorted.hasNext()) {
      long hash = sorted.next();
      copies = copies > 0 && hash == previous ? copies + 1 : 1;
      previous = hash;
      if (copies == 2) {
        repeated.add(hash);
      }
    }
    return repeated.iterator();
  }

  private Dataset<Row> judged(Dataset<Row> rows) {
    // Unusable rows have their reason already and must not displace a usable row of the same id.
    WindowSpec sameId = Window.partitionBy(col("feedback_id"), col("reason").isNull());
    // Copies may differ in source or unused columns: the order must be total all the same.
    WindowSpec inOrder = sameId.orderBy(col("content"), col("source"), json());
    Column open = col("reason").isNull();
    Column conflicting = col("first_content").notEqual(col("last_content"));
    return rows.withColumn("place", row_number().over(inOrder))
        .withColumn("first_content", min("content").over(sameId))
        .withColumn("last_content", max("content").over(sameId))
        .withColumn(
            "reason",
            when(open.and(conflicting), QuarantineReason.CONFLICTING_FEEDBACK_ID.code())
                .when(open.and(col("place").gt(1)), QuarantineReason.DUPLICATE_FEEDBACK_ID.code())
                .otherwise(col("reason")))
        .drop("place", "first_content", "last_content");
  }
}
