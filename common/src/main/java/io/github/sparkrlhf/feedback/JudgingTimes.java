package io.github.sparkrlhf.feedback;

import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.expr;

import java.io.Serializable;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Iterator;
import java.util.Map;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;

/**
 * How long annotators take for a vote. Where it is known when votes were started, it is the time
 * from there to the vote; for an annotator without any such vote it is the time between two votes
 * that follow each other. Votes of the same moment were sent together: the time between them is not
 * counted.
 */
final class JudgingTimes implements Serializable {
  private static final long serialVersionUID = 1L;
  private static final double MICROSECONDS = 1e6;

  private final double[] medians;
  private final int[] counts;

  private JudgingTimes(int annotators) {
    this.medians = new double[annotators];
    Arrays.fill(medians, Double.NaN);
    this.counts = new int[annotators];
  }

  /** No times are known. */
  static JudgingTimes unknown(int annotators) {
    return new JudgingTimes(annotators);
  }

  /**
   * The times of the annotators.
   *
   * @param votes with {@code annotator}, {@code created_at}, {@code started_at}
   * @param annotators the number of annotators; votes of greater numbers do not count
   */
  static JudgingTimes of(Dataset<Row> votes, int annotators) {
    Dataset<Row> times =
        votes
            .where(col("created_at").isNotNull().and(col("annotator").lt(annotators)))
            .select(
                col("annotator"),
                expr("unix_micros(created_at)").as("created"),
                expr("unix_micros(started_at)").as("started"))
            .repartition(col("annotator"));
    JudgingTimes known = new JudgingTimes(annotators);
    for (Median median : times.javaRDD().mapPartitions(JudgingTimes::medians).collect()) {
      known.medians[median.annotator] = median.seconds;
      known.counts[median.annotator] = median.count;
    }
    return known;
  }

  /** The median of an annotator's times in seconds, or null if there are none. */
  Double medianSeconds(int annotator) {
    return counts[annotator] == 0 ? null : Double.valueOf(medians[annotator]);
  }

  /** How many times the median is of. */
  int count(int annotator) {
    return counts[annotator];
  }

  private record Median(int annotator, double seconds, int count) implements Serializable {}

  /** What is known of one annotator, in microseconds. */
  private static final class Times {
    private final LongStream.Builder created = LongStream.builder();
    private final LongStream.Builder durations = LongStream.builder();

    void add(Row row) {
      long vote = row.getLong(1);
      created.add(vote);
      if (!row.isNullAt(2) && row.getLong(2) <= vote) {
        durations.add(vote - row.getLong(2));
      }
    }

    Median median(int annotator) {
      long[] times = durations.build().sorted().toArray();
      if (times.length == 0) {
        long[] moments = created.build().sorted().distinct().toArray();
        times =
            IntStream.range(1, moments.length)
                .mapToLong(i -> moments[i] - moments[i - 1])
                .sorted()
                .toArray();
      }
      int n = times.length;
      double middle = n == 0 ? Double.NaN : (times[(n - 1) / 2] + times[n / 2]) / 2.0;
      return new Median(annotator, middle / MICROSECONDS, n);
    }
  }

  /** The medians of the annotators of one partition. */
  private static Iterator<Median> medians(Iterator<Row> rows) {
    Map<Integer, Times> times = new HashMap<>();
    while (rows.hasNext()) {
      Row row = rows.next();
      times.computeIfAbsent(row.getInt(0), annotator -> new Times()).add(row);
    }
    return times.entrySet().stream().map(e -> e.getValue().median(e.getKey())).iterator();
  }
}
