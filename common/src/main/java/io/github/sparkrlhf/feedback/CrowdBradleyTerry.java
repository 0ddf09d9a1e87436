package io.github.sparkrlhf.feedback;

import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.lit;
import static org.apache.spark.sql.functions.when;

import io.github.sparkrlhf.spark.JobDescriptions;
import java.util.Arrays;
import java.util.Iterator;
import java.util.List;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.broadcast.Broadcast;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.storage.StorageLevel;

/**
 * Crowd-BT, a Bradley–Terry model that knows its annotators (Chen, Bennett, Collins-Thompson and
 * Horvitz, WSDM 2013): every response has a score within its prompt, every annotator a reliability
 * η; see {@link BradleyTerryScores}. It has more to say than Dawid–Skene where the pairs of a
 * prompt share responses.
 *
 * <p>Scores and reliabilities are fitted in turns. A reliability has the prior Beta({@value
 * #PRIOR_RIGHT} + 1, {@value #PRIOR_WRONG} + 1), which keeps the crowd on the side of the truth:
 * the model is the same with all scores and all annotators turned around. Votes without annotator
 * are those of one more annotator.
 *
 * <p>Neither the order of votes nor partitions change a bit.
 */
public final class CrowdBradleyTerry implements AutoCloseable {
  static final double TOLERANCE = 1e-3;
  static final int MAX_ITERATIONS = 20;

  /** Pseudo-votes that are meant as cast. */
  private static final double PRIOR_RIGHT = 4;

  /** Pseudo-votes that are not. */
  private static final double PRIOR_WRONG = 1;

  private static final StructType RESPONSES =
      StructType.fromDDL(
          "prompt_key BIGINT, response_key BIGINT, score DOUBLE, comparisons BIGINT");

  private final SparkSession session;
  private final JavaSparkContext context;
  private final JavaRDD<PromptVotes> prompts;
  private final AnnotatorIndex annotators;
  private final Broadcast<double[]> reliabilities;

  /**
   * Fits the model.
   *
   * @param votes as {@link Reliability#of} takes them, with {@code prompt_key}, {@code first_key}
   *     and {@code second_key} BIGINT: hashes of the prompt and of the pair's two responses
   */
  public static CrowdBradleyTerry of(Dataset<Row> votes) {
    return JobDescriptions.described(
        votes.sparkSession().sparkContext(),
        "Annotators: Bradley–Terry (Crowd-BT)",
        () -> new CrowdBradleyTerry(votes));
  }

  private CrowdBradleyTerry(Dataset<Row> votes) {
    this.session = votes.sparkSession();
    this.context = JavaSparkContext.fromSparkContext(session.sparkContext());
    this.annotators = AnnotatorIndex.of(votes);
    this.prompts = prompts(annotators.indexed(votes)).persist(StorageLevel.MEMORY_AND_DISK());
    this.reliabilities = context.broadcast(fit());
  }

  private JavaRDD<PromptVotes> prompts(Dataset<Row> indexed) {
    Column forFirst = col("choice").equalTo("a").notEqual(col("swapped"));
    Column preference =
        when(col("choice").equalTo("tie"), lit(2)).when(forFirst, lit(0)).otherwise(lit(1));
    int partitions = annotators.blocks(context.defaultParallelism());
    return indexed
        .select(
            col("prompt_key"),
            col("first_key"),
            col("second_key"),
            col("pair_id"),
            col("annotator"),
            preference.as("preference"))
        .repartition(partitions, col("prompt_key"))
        .sortWithinPartitions("prompt_key")
        .javaRDD()
        .mapPartitions(PromptVotes::of);
  }

  private double[] fit() {
    double[] current = new double[annotators.size() + 1];
    Arrays.fill(current, PRIOR_RIGHT / (PRIOR_RIGHT + PRIOR_WRONG));
    double change = Double.POSITIVE_INFINITY;
    for (int iteration = 0; iteration < MAX_ITERATIONS && change > TOLERANCE; iteration++) {
      long[] sums = reliabilitySums(current);
      change = 0;
      double[] next = new double[current.length];
      for (int i = 0; i < next.length; i++) {
        double meant = sums[i * PromptVotes.SUMS] / DawidSkene.UNIT;
        double votes = sums[i * PromptVotes.SUMS + 1];
        next[i] = (meant + PRIOR_RIGHT) / (votes + PRIOR_RIGHT + PRIOR_WRONG);
        change = Math.max(change, Math.abs(next[i] - current[i]));
      }
      current = next;
    }
    return current;
  }

  private long[] reliabilitySums(double[] current) {
    Broadcast<double[]> shared = context.broadcast(current);
    try {
      return prompts
          .mapPartitions(block -> List.of(sums(block, shared.value())).iterator())
          .reduce(CrowdBradleyTerry::plus);
    } finally {
      shared.destroy();
    }
  }

  private static long[] sums(Iterator<PromptVotes> prompts, double[] reliabilities) {
    long[] sums = new long[reliabilities.length * PromptVotes.SUMS];
    prompts.forEachRemaining(prompt -> prompt.addReliability(reliabilities, sums));
    return sums;
  }

  private static long[] plus(long[] left, long[] right) {
    long[] sum = left.clone();
    for (int i = 0; i < sum.length; i++) {
      sum[i] += right[i];
    }
    return sum;
  }

  /**
   * The probabilities of each pair: that of a tie is the pair's share of ties, drawn to the log's
   * by two pseudo-votes; the rest is shared by σ of the difference of the scores.
   *
   * @return the columns of {@link Reliability#pairs()}; valid until {@link #close()}
   */
  public Dataset<Row> pairs() {
    Broadcast<double[]> shared = reliabilities;
    double tieShare = annotators.tieShare();
    return session.createDataFrame(
        prompts.flatMap(prompt -> prompt.pairs(shared.value(), tieShare)), Reliability.PAIRS);
  }

  /**
   * The scores of the responses.
   *
   * @return {@code prompt_key}, {@code response_key} BIGINT, {@code score} DOUBLE (log-odds, 0 on
   *     average within a prompt), {@code comparisons} BIGINT; valid until {@link #close()}
   */
  public Dataset<Row> responses() {
    Broadcast<double[]> shared = reliabilities;
    return session.createDataFrame(
        prompts.flatMap(prompt -> prompt.responses(shared.value())), RESPONSES);
  }

  @Override
  public void close() {
    prompts.unpersist();
    reliabilities.destroy();
  }
}
