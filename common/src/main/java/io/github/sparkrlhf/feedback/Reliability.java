package io.github.sparkrlhf.feedback;

import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.lit;
import static org.apache.spark.sql.functions.udf;
import static org.apache.spark.sql.functions.xxhash64;

import io.github.sparkrlhf.spark.JobDescriptions;
import io.github.sparkrlhf.spark.SmallSide;
import io.github.sparkrlhf.tables.Table;
import java.util.HashMap;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.broadcast.Broadcast;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.api.java.UDF1;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.storage.StorageLevel;

/**
 * How far annotators can be trusted, and what follows for pairs: {@link DawidSkene} fitted by
 * expectation–maximisation, starting from the share of votes.
 *
 * <p>Only pairs on which at least two people voted teach anything about annotators. Votes without
 * annotator are those of one more annotator. If there is no such pair, reliability cannot be
 * estimated: a pair's posterior is the share of its votes, and annotators have neither accuracy nor
 * weight.
 *
 * <p>If nearly all decided votes of a log name the same displayed side, it does not record what was
 * displayed first. The pairs' own order then takes the place of the display, both sides are
 * confused alike, and nothing is said about position bias.
 *
 * <p>Neither the order of votes nor partitions nor the names of annotators change a bit.
 */
public final class Reliability implements AutoCloseable {
  /** The fit has converged when no estimated probability moves by more than this. */
  static final double TOLERANCE = 1e-3;

  static final int MAX_ITERATIONS = 20;

  /** The columns of {@link #pairs()}. */
  static final StructType PAIRS =
      StructType.fromDDL(
          "pair_id STRING, first_probability DOUBLE, second_probability DOUBLE,"
              + " tie_probability DOUBLE");

  /** The cell of the other side: a and b exchanged, in the truth and in what is said. */
  private static final int[] MIRRORED = {4, 3, 5, 1, 0, 2, 7, 6, 8};

  private final SparkSession session;
  private final JavaSparkContext context;
  private final AnnotatorIndex annotators;
  private final JavaRDD<PairVotes> blocks;
  private final Broadcast<DawidSkene.Logs> logs;
  private final Broadcast<AnnotatorStatistics> statistics;
  private final int iterations;
  private final VotePatterns patterns;

  /**
   * Estimates the reliability of the annotators of votes.
   *
   * @param votes one row per vote: {@code pair_id} STRING, {@code annotator_id} STRING (null if
   *     unknown), {@code choice} STRING ({@code a}, {@code b}, {@code tie}, as displayed), {@code
   *     swapped} BOOLEAN (the displayed a is the second response of the pair), {@code created_at}
   *     and {@code started_at} TIMESTAMP (null if unknown), {@code source} STRING. It is read three
   *     times: cache it if it is costly
   * @param sources the names that stand in the column source
   */
  public static Reliability of(Dataset<Row> votes, List<String> sources) {
    return JobDescriptions.described(
        votes.sparkSession().sparkContext(),
        "Annotators: reliability (Dawid–Skene)",
        () -> new Reliability(votes, sources));
  }

  private Reliability(Dataset<Row> votes, List<String> sources) {
    this.session = votes.sparkSession();
    this.context = JavaSparkContext.fromSparkContext(session.sparkContext());
    this.annotators = AnnotatorIndex.of(votes);
    Dataset<Row> indexed = annotators.indexed(votes);
    this.blocks = blocks(indexed, sources).persist(StorageLevel.MEMORY_AND_DISK());
    AnnotatorSums agreements =
        blocks.map(PairVotes::agreements).reduce((left, right) -> left.plus(right));
    int unknown = annotators.size();
    this.patterns =
        blocks.map(block -> block.patterns(unknown)).reduce((left, right) -> left.plus(right));
    boolean overlapping = agreements.totals()[0] > 0;
    JudgingTimes times =
        annotators.timed()
            ? JudgingTimes.of(indexed, annotators.size())
            : JudgingTimes.unknown(annotators.size());
    Fit fit = overlapping ? fit() : new Fit(DawidSkene.Logs.NONE, new long[0], new double[0], 0);
    this.iterations = fit.iterations;
    this.logs = context.broadcast(fit.logs);
    this.statistics =
        context.broadcast(
            new AnnotatorStatistics(
                annotators,
                times,
                agreements.dense(annotators.size() + 1),
                fit.counts,
                fit.confusions));
  }

  private record Fit(DawidSkene.Logs logs, long[] counts, double[] confusions, int iterations) {}

  private JavaRDD<PairVotes> blocks(Dataset<Row> indexed, List<String> sources) {
    int partitions = annotators.blocks(context.defaultParallelism());
    return indexed
        .select(
            xxhash64(col("pair_id")).as("hash"),
            col("pair_id"),
            col("annotator"),
            col("vote"),
            number(col("source"), sources).as("source"))
        .repartition(partitions, col("hash"))
        .sortWithinPartitions("hash")
        .javaRDD()
        .mapPartitions(rows -> List.of(PairVotes.of(rows)).iterator());
  }

  /** The place of a name in the list. */
  private static Column number(Column name, List<String> names) {
    if (names.size() == 1) {
      return lit(0);
    }
    Map<String, Integer> numbers = new HashMap<>();
    names.forEach(each -> numbers.put(each, numbers.size()));
    UDF1<String, Integer> number = numbers::get;
    return udf(number, DataTypes.IntegerType).apply(name);
  }

  private Fit fit() {
    DawidSkene model = null;
    for (int iteration = 1; ; iteration++) {
      AnnotatorSums expected = expectation(model == null ? DawidSkene.Logs.NONE : model.logs());
      long[] counts = expected.dense(annotators.size() + 1);
      if (!annotators.displayRecorded()) {
        symmetrise(counts);
      }
      DawidSkene before = model;
      model = DawidSkene.maximise(counts, expected.totals());
      boolean converged = before != null && model.change(before) <= TOLERANCE;
      if (converged || iteration == MAX_ITERATIONS) {
        return new Fit(model.logs(), counts, model.confusions(), iteration);
      }
    }
  }

  private AnnotatorSums expectation(DawidSkene.Logs current) {
    Broadcast<DawidSkene.Logs> shared = context.broadcast(current);
    try {
      return blocks
          .map(block -> block.expectation(shared.value()))
          .reduce((left, right) -> left.plus(right));
    } finally {
      shared.destroy();
    }
  }

  /** Replaces the counts of both sides by their mean. */
  private static void symmetrise(long[] counts) {
    for (int base = 0; base < counts.length; base += MIRRORED.length) {
      for (int cell = 0; cell < MIRRORED.length; cell++) {
        int other = MIRRORED[cell];
        if (cell < other) {
          long mean = (counts[base + cell] + counts[base + other]) / 2;
          counts[base + cell] = mean;
          counts[base + other] = mean;
        }
      }
    }
  }

  /**
   * The posterior of each pair.
   *
   * @return {@code pair_id} STRING, {@code first_probability}, {@code second_probability}, {@code
   *     tie_probability} DOUBLE; valid until {@link #close()}
   */
  public Dataset<Row> pairs() {
    Broadcast<DawidSkene.Logs> shared = logs;
    return session.createDataFrame(
        blocks.flatMap(block -> block.posteriors(shared.value())), PAIRS);
  }

  /**
   * One row per known annotator, with the columns of the table {@code annotators} but the run;
   * valid until {@link #close()}.
   *
   * <ul>
   *   <li>{@code accuracy}: the expected share of votes that name the true class, over pairs with
   *       votes of others, drawn to the crowd's by {@value DawidSkene#STRENGTH} pseudo-votes; with
   *       Wilson's 95 % interval for that many votes
   *   <li>{@code weight}: max(0, 2·accuracy − 1) of decided votes on pairs with a decided truth
   *   <li>{@code confusion}: rows true a, b, tie as displayed; columns said a, b, tie
   *   <li>{@code agreement}: share of other people's votes on the same pairs that are equal
   *   <li>{@code position_bias}: P(says a | truth is b) − P(says b | truth is a), with the z of two
   *       proportions under a pooled variance; null if the display is not recorded
   *   <li>{@code median_seconds}: see {@link JudgingTimes}
   *   <li>{@code contradictions}: pairs on which the annotator voted for both sides
   *   <li>{@code spam_reason}: {@code always_same_answer}, {@code position_bias}, {@code random},
   *       {@code adversarial}, {@code too_fast}, joined by commas
   * </ul>
   */
  public Dataset<Row> annotators() {
    Broadcast<AnnotatorStatistics> shared = statistics;
    JavaRDD<Row> rows =
        context
            .parallelize(ranges(annotators.size()))
            .flatMap(range -> rows(shared.value(), range[0], range[1]));
    return session.createDataFrame(rows, Table.ANNOTATORS.schemaWithoutRun());
  }

  /**
   * The columns {@code annotator_id} and {@code weight} of {@link #annotators()}, to be joined to
   * votes.
   */
  Dataset<Row> weights() {
    return SmallSide.of(annotators().select("annotator_id", "weight"), annotators.size());
  }

  private static Iterator<Row> rows(AnnotatorStatistics statistics, int from, int to) {
    return IntStream.range(from, to).mapToObj(statistics::row).iterator();
  }

  private List<int[]> ranges(int size) {
    int ranges = context.defaultParallelism();
    return IntStream.range(0, ranges)
        .mapToObj(
            i ->
                new int[] {
                  (int) ((long) size * i / ranges), (int) ((long) size * (i + 1) / ranges)
                })
        .toList();
  }

  /** How many pairs have the same votes. */
  VotePatterns patterns() {
    return patterns;
  }

  /** How many iterations the fit took; 0 if reliability cannot be estimated. */
  public int iterations() {
    return iterations;
  }

  @Override
  public void close() {
    blocks.unpersist();
    logs.destroy();
    statistics.destroy();
  }
}
