package io.github.sparkrlhf.feedback;

import static org.apache.spark.sql.functions.array;
import static org.apache.spark.sql.functions.bit_or;
import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.explode;
import static org.apache.spark.sql.functions.lit;
import static org.apache.spark.sql.functions.stack;
import static org.apache.spark.sql.functions.sum;
import static org.apache.spark.sql.functions.when;
import static org.apache.spark.sql.functions.xxhash64;

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
import org.apache.spark.sql.types.StructType;

/**
 * Counts of preferences that cannot all be right, by source and over all sources: rows of the table
 * {@code feedback_metrics}.
 */
public final class FeedbackMetrics {
  private static final String ALL = Agreement.ALL;
  private static final int BOTH_SIDES = 3;
  private static final int SHORTEST_CYCLE = 3;

  private static final StructType CYCLES =
      StructType.fromDDL("source STRING, cycles BIGINT, responses BIGINT, prompts BIGINT");

  private FeedbackMetrics() {}

  /**
   * Counts votes that contradict each other. {@code contradicted_pairs} are pairs with at least one
   * vote for each response, {@code self_contradictions} those of one annotator on one pair.
   *
   * @param comparisons with pair_id, choice, swapped (whether response_b is the first of the pair),
   *     annotator_id (null if unknown) and source
   * @return rows with the columns of the table {@code feedback_metrics} without {@code run_id}
   */
  public static Dataset<Row> contradictions(Dataset<Row> comparisons) {
    Column first = col("choice").equalTo("a").notEqual(col("swapped"));
    Dataset<Row> counts =
        comparisons
            .select(
                xxhash64(col("pair_id")).as("pair"),
                col("source"),
                when(col("annotator_id").isNotNull(), xxhash64(col("annotator_id")))
                    .as("annotator"),
                when(col("choice").equalTo("tie"), 0).when(first, 1).otherwise(2).as("sides"))
            // All that follows is on the pairs of a partition, without another shuffle.
            .repartition(col("pair"))
            .withColumn("source", explode(array(col("source"), lit(ALL))))
            .groupBy("pair", "source", "annotator")
            .agg(bit_or(col("sides")).as("sides"))
            .groupBy("pair", "source")
            .agg(
                bit_or(col("sides")).as("sides"),
                sum(when(isBoth().and(col("annotator").isNotNull()), 1).otherwise(0)).as("self"))
            .groupBy("source")
            .agg(
                sum(when(isBoth(), 1L).otherwise(0L)).as("contradicted_pairs"),
                sum("self").as("self_contradictions"));
    return metrics(counts, "contradicted_pairs", "self_contradictions");
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

  private static Column isBoth() {
    return col("sides").equalTo(BOTH_SIDES);
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
