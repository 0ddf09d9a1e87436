package io.github.sparkrlhf.feedback;

import static org.apache.spark.sql.functions.broadcast;
import static org.apache.spark.sql.functions.coalesce;
import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.count;
import static org.apache.spark.sql.functions.lit;
import static org.apache.spark.sql.functions.when;

import java.io.Serializable;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.types.StructType;

/**
 * The annotators of a log, numbered in the order of their ids, with what they said. The number
 * after the last stands for all votes without annotator together.
 */
final class AnnotatorIndex implements Serializable {
  /** What {@link #said} counts: votes for the displayed a, for the displayed b, ties. */
  static final int CHOICES = 3;

  /**
   * From this share of the decided votes on one displayed side, the log does not say what was
   * displayed first: such logs put the chosen response first.
   */
  private static final double ONE_SIDED_SHARE = 0.98;

  private static final int BLOCK_VOTES = 1 << 20;
  private static final long serialVersionUID = 1L;
  private static final StructType SCHEMA = StructType.fromDDL("annotator_id STRING, annotator INT");

  private final String[] names;
  private final long[] said;
  private final boolean displayRecorded;
  private final boolean timed;

  private AnnotatorIndex(String[] names, long[] said, boolean timed) {
    this.names = names;
    this.said = said;
    this.timed = timed;
    long first = 0;
    long second = 0;
    for (int i = 0; i < said.length; i += CHOICES) {
      first += said[i];
      second += said[i + 1];
    }
    this.displayRecorded = Math.max(first, second) < ONE_SIDED_SHARE * (first + second);
  }

  /**
   * The annotators of the votes.
   *
   * @param votes with {@code annotator_id}, {@code choice}, {@code created_at}
   */
  static AnnotatorIndex of(Dataset<Row> votes) {
    Dataset<Row> said =
        votes
            .groupBy("annotator_id")
            .agg(
                count(when(col("choice").equalTo("a"), 1)),
                count(when(col("choice").equalTo("b"), 1)),
                count(when(col("choice").equalTo("tie"), 1)),
                count(col("created_at")));
    List<Row> rows = new ArrayList<>(said.collectAsList());
    rows.sort(
        Comparator.comparing(
            row -> row.getString(0), Comparator.nullsLast(Comparator.naturalOrder())));
    boolean unknown = !rows.isEmpty() && rows.get(rows.size() - 1).isNullAt(0);
    String[] names = new String[rows.size() - (unknown ? 1 : 0)];
    long[] counts = new long[(names.length + 1) * CHOICES];
    boolean timed = false;
    for (int i = 0; i < rows.size(); i++) {
      Row row = rows.get(i);
      for (int k = 0; k < CHOICES; k++) {
        counts[i * CHOICES + k] = row.getLong(1 + k);
      }
      if (i < names.length) {
        names[i] = row.getString(0);
        timed |= row.getLong(1 + CHOICES) > 0;
      }
    }
    return new AnnotatorIndex(names, counts, timed);
  }

  /** The number of annotators with a name. */
  int size() {
    return names.length;
  }

  /** The id of an annotator. */
  String name(int annotator) {
    return names[annotator];
  }

  /** How often the annotator chose the displayed a (0), the displayed b (1), a tie (2). */
  long said(int annotator, int choice) {
    return said[annotator * CHOICES + choice];
  }

  /** Whether the log says which response was displayed first. */
  boolean displayRecorded() {
    return displayRecorded;
  }

  /** Whether the time of any vote by a known annotator is known. */
  boolean timed() {
    return timed;
  }

  private long votes() {
    long votes = 0;
    for (long count : said) {
      votes += count;
    }
    return votes;
  }

  /** Into how many blocks the votes are cut: some 2^20 votes in each at most. */
  int blocks(int parallelism) {
    return (int) Math.max(parallelism, votes() / BLOCK_VOTES + 1);
  }

  /** The share of ties among all votes; 0 without votes. */
  double tieShare() {
    long ties = 0;
    for (int i = 2; i < said.length; i += CHOICES) {
      ties += said[i];
    }
    return ties == 0 ? 0 : (double) ties / votes();
  }

  /**
   * Adds the columns {@code annotator} INT, the number of the annotator, and {@code vote} INT: 0, 1
   * or 2 for a, b or tie as displayed, plus 4 if the displayed a is the second of the pair. Where
   * the display is not recorded the pair's own order takes its place.
   */
  Dataset<Row> indexed(Dataset<Row> votes) {
    List<Row> numbers = new ArrayList<>(names.length);
    for (int i = 0; i < names.length; i++) {
      numbers.add(RowFactory.create(names[i], i));
    }
    Dataset<Row> index = votes.sparkSession().createDataFrame(numbers, SCHEMA);
    Column tie = col("choice").equalTo("tie");
    Column side = when(col("choice").equalTo("a"), 0).otherwise(1);
    Column swapped = col("swapped");
    Column displayed = when(tie, 2).otherwise(side).plus(when(swapped, 4).otherwise(0));
    Column canonical = when(tie, 2).when(swapped, lit(1).minus(side)).otherwise(side);
    return votes
        .join(
            broadcast(index), votes.col("annotator_id").equalTo(index.col("annotator_id")), "left")
        .drop(index.col("annotator_id"))
        .withColumn("annotator", coalesce(col("annotator"), lit(names.length)))
        .withColumn("vote", displayRecorded ? displayed : canonical);
  }
}
