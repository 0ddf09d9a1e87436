package io.github.sparkrlhf.feedback;

import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.lit;
import static org.apache.spark.sql.functions.stack;
import static org.apache.spark.sql.functions.sum;
import static org.apache.spark.sql.functions.xxhash64;

import io.github.sparkrlhf.feedback.VotePatterns.Pattern;
import io.github.sparkrlhf.tables.Table;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.LongStream;
import org.apache.spark.api.java.function.FlatMapGroupsFunction;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Encoders;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.StructType;

/**
 * Counts of preferences that cannot all be right, by source and over all sources: rows of the table
 * {@code feedback_metrics}.
 */
public final class FeedbackMetrics {
  private static final String ALL = Agreement.ALL;
  private static final int SHORTEST_CYCLE = 3;

  private static final StructType CYCLES =
      StructType.fromDDL("source STRING, cycles BIGINT, responses BIGINT, prompts BIGINT");

  private FeedbackMetrics() {}

  /**
   * Counts votes that contradict each other. {@code contradicted_pairs} are pairs with at least one
   * vote for each response, {@code self_contradictions} those of one annotator on one pair.
   *
   * @param patterns the votes on pairs
   * @param sources the names of their sources by number
   * @return rows with the columns of the table {@code feedback_metrics} without {@code run_id}
   */
  static Dataset<Row> contradictions(
      SparkSession session, VotePatterns patterns, List<String> sources) {
    List<Row> rows = new ArrayList<>();
    patterns
        .sums(sources, pattern -> pattern.contradicted() ? 1 : 0)
        .forEach((source, sum) -> rows.add(RowFactory.create(source, "contradicted_pairs", sum)));
    patterns
        .sums(sources, Pattern::selfContradictions)
        .forEach((source, sum) -> rows.add(RowFactory.create(source, "self_contradictions", sum)));
    return session.createDataFrame(rows, Table.FEEDBACK_METRICS.schemaWithoutRun());
  }

  /**
   * Counts preferences that go round in a circle. The decided pairs of a prompt are a directed
   * graph from the chosen to the rejected responses; {@code preference_cycles} are its strongly
   * connected components of more than one response, {@code responses_in_cycles} the responses in
   * them, {@code prompts_with_cycles} the prompts with at least one.
   *
   * @param pairs with prompt, chosen, rejected, decided (others are left out) and source
   * @return rows with the columns of the table {@code feedback_metrics} without {@code run_id}
   */
  public static Dataset<Row> cycles(Dataset<Row> pairs) {
    Dataset<Row> edges =
        pairs
            .where(col("decided"))
            .select(
                xxhash64(NormalizedText.identity(col("prompt"))).as("prompt"),
                col("source"),
                xxhash64(NormalizedText.identity(col("chosen"))).as("chosen"),
                xxhash64(NormalizedText.identity(col("rejected"))).as("rejected"));
    Dataset<Row> counts =
        edges
            .groupBy("prompt")
            .as(Encoders.LONG(), Encoders.row(edges.schema()))
            .flatMapGroups(
                (FlatMapGroupsFunction<Long, Row, Row>) (prompt, rows) -> cyclesOf(rows),
                Encoders.row(CYCLES))
            .groupBy("source")
            .agg(
                sum("cycles").as("preference_cycles"),
                sum("responses").as("responses_in_cycles"),
                sum("prompts").as("prompts_with_cycles"));
    return metrics(counts, "preference_cycles", "responses_in_cycles", "prompts_with_cycles");
  }

  private static Dataset<Row> metrics(Dataset<Row> counts, String... names) {
    List<Column> pairs = new ArrayList<>();
    pairs.add(lit(names.length));
    for (String name : names) {
      pairs.add(lit(name));
      pairs.add(col(name));
    }
    Column rows = stack(pairs.toArray(Column[]::new));
    return counts
        .select(col("source"), rows.as(new String[] {"metric", "value"}))
        .to(Table.FEEDBACK_METRICS.schemaWithoutRun());
  }

  /** The counts of one prompt, for each source and for all. */
  private static Iterator<Row> cyclesOf(Iterator<Row> pairs) {
    Map<String, LongStream.Builder> edges = new TreeMap<>();
    while (pairs.hasNext()) {
      Row pair = pairs.next();
      for (String source : List.of(pair.getString(1), ALL)) {
        edges
            .computeIfAbsent(source, s -> LongStream.builder())
            .add(pair.getLong(2))
            .add(pair.getLong(3));
      }
    }
    List<Row> counts = new ArrayList<>();
    edges.forEach((source, ends) -> counts.add(cycleCounts(source, ends.build().toArray())));
    return counts.iterator();
  }

  /**
   * Counts the cycles of one graph.
   *
   * @param ends the hashes of the responses of each edge, chosen before rejected
   */
  private static Row cycleCounts(String source, long[] ends) {
    int edges = ends.length / 2;
    if (edges < SHORTEST_CYCLE) {
      return RowFactory.create(source, 0L, 0L, 0L);
    }
    long[] responses = Arrays.stream(ends).sorted().distinct().toArray();
    int[] from = new int[edges];
    int[] to = new int[edges];
    for (int edge = 0; edge < edges; edge++) {
      from[edge] = Arrays.binarySearch(responses, ends[2 * edge]);
      to[edge] = Arrays.binarySearch(responses, ends[2 * edge + 1]);
    }
    int[] cycles =
        Arrays.stream(StronglyConnectedComponents.sizes(responses.length, from, to))
            .filter(size -> size > 1)
            .toArray();
    long inCycles = Arrays.stream(cycles).sum();
    return RowFactory.create(source, (long) cycles.length, inCycles, cycles.length > 0 ? 1L : 0L);
  }
}
