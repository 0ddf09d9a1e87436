package io.github.sparkrlhf.reward;

import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.row_number;

import io.github.sparkrlhf.spark.JobDescriptions;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.apache.spark.api.java.function.FlatMapFunction;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.catalyst.encoders.ExpressionEncoder;
import org.apache.spark.sql.expressions.Window;
import org.apache.spark.sql.types.StructType;

/** Says in words what hash buckets stand for, by looking into texts for what falls into them. */
final class BucketTerms {
  /** More terms of a bucket than these say nothing new: the first few are most of it. */
  private static final int MOST_TERMS = 5;

  private static final StructType TERMS = StructType.fromDDL("bucket INT, term STRING");

  /** A term and the bucket that it falls into. */
  record Term(int bucket, String text) {}

  /** The terms of a response to a prompt, and where they go. */
  interface Hashing extends Serializable {
    /** The terms, as often as they occur; a line feed joins one of the prompt with another. */
    Stream<Term> terms(String prompt, String response);
  }

  private BucketTerms() {}

  /**
   * The most frequent terms of some buckets. Several in one bucket are a collision: the model
   * cannot tell them apart.
   *
   * @param texts rows with {@link RewardModel#PROMPT} and {@link RewardModel#RESPONSE}
   * @return for each bucket in which there is one: term and frequency, such as {@code not (12)},
   *     the most frequent first, at most {@value #MOST_TERMS}
   */
  static Map<Integer, List<String>> of(Dataset<Row> texts, Set<Integer> buckets, Hashing hashing) {
    FlatMapFunction<Row, Row> found =
        text ->
            hashing
                .terms(text.getString(0), text.getString(1))
                .filter(term -> buckets.contains(term.bucket()))
                .map(term -> RowFactory.create(term.bucket(), term.text()))
                .iterator();
    Dataset<Row> ranked =
        texts
            .select(RewardModel.PROMPT, RewardModel.RESPONSE)
            .flatMap(found, ExpressionEncoder.apply(TERMS))
            .groupBy("bucket", "term")
            .count()
            .withColumn(
                "rank",
                row_number()
                    .over(Window.partitionBy("bucket").orderBy(col("count").desc(), col("term"))))
            .where(col("rank").leq(MOST_TERMS))
            .orderBy("bucket", "rank");
    Map<Integer, List<String>> terms = new TreeMap<>();
    JobDescriptions.described(
            texts.sparkSession().sparkContext(), "explain: words of buckets", ranked::collectAsList)
        .forEach(
            row ->
                terms
                    .computeIfAbsent(row.getInt(0), bucket -> new ArrayList<>())
                    .add(row.getString(1).replace("\n", " × ") + " (" + row.getLong(2) + ")"));
    return terms;
  }
}
