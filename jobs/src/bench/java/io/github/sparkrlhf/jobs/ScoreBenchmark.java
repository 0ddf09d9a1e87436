package io.github.sparkrlhf.jobs;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.types.Shape;
import com.sun.management.OperatingSystemMXBean;
import io.github.sparkrlhf.lm.BpeTrainer;
import io.github.sparkrlhf.lm.GradMode;
import io.github.sparkrlhf.lm.LanguageModel;
import io.github.sparkrlhf.lm.ReplicaPool;
import io.github.sparkrlhf.lm.SequenceBatch;
import io.github.sparkrlhf.lm.Tokenizer;
import io.github.sparkrlhf.lm.TokenizerFile;
import io.github.sparkrlhf.lm.TransformerConfig;
import io.github.sparkrlhf.reward.BradleyTerryTrainer;
import io.github.sparkrlhf.reward.RewardModel;
import io.github.sparkrlhf.reward.TransformerRewardModel;
import io.github.sparkrlhf.spark.Sessions;
import io.github.sparkrlhf.training.TextExample;
import java.io.Serializable;
import java.lang.management.ManagementFactory;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import java.util.function.LongSupplier;
import java.util.stream.IntStream;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.broadcast.Broadcast;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Encoders;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/**
 * Measures bulk scoring of tables with texts of mixed lengths, and beside it the same transformer
 * on the same rows in the order in which they arrive, each batch padded to its longest row. Per
 * second of the clock and of the processor: the latter says more on a machine that does other work.
 */
@Command(
    name = "score-benchmark",
    description = "Measures bulk scoring by a transformer and by bradley-terry.",
    mixinStandardHelpOptions = true)
final class ScoreBenchmark implements Callable<Integer> {
  private static final int ARRIVAL_BATCH = 32;
  private static final int MAX_TOKENS = 512;
  private static final int SGEMM_SIZE = 1024;
  private static final int SGEMM_PRODUCTS = 40;
  private static final int HIDDEN = 256;
  private static final int INTERMEDIATE = 688;
  private static final int LAYERS = 6;
  private static final int HEADS = 8;
  private static final int VOCABULARY = 4096;
  private static final double GIGA = 1e9;

  @Option(
      names = "--transformer-rows",
      split = ",",
      defaultValue = "2000,20000",
      description = "Rows that the transformer scores (default: ${DEFAULT-VALUE}).")
  private List<Integer> transformerRows;

  @Option(
      names = "--arrival-rows",
      defaultValue = "2000",
      description =
          "Rows that it scores in order of arrival; 0 for none (default: ${DEFAULT-VALUE}).")
  private int arrivalRows;

  @Option(
      names = "--linear-rows",
      split = ",",
      defaultValue = "100000,1000000",
      description = "Rows that bradley-terry scores (default: ${DEFAULT-VALUE}).")
  private List<Integer> linearRows;

  @Option(
      names = "--threads",
      defaultValue = "2",
      description =
          "Tasks that run at the same time, with one thread each (default: ${DEFAULT-VALUE}).")
  private int threads;

  private final OperatingSystemMXBean system =
      (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
  private SparkSession spark;
  private JavaSparkContext context;
  private LanguageModel model;
  private double sgemmPerCpuSecond;
  private double sgemmPerSecond;

  /** What the scorer in order of arrival ships. */
  private record Shipped(TransformerConfig config, float[] weights, TokenizerFile tokenizer)
      implements Serializable {}

  /** Prints a table. */
  public static void main(String[] args) {
    System.exit(new CommandLine(new ScoreBenchmark()).execute(args));
  }

  @Override
  public Integer call() {
    spark = Sessions.open("local[" + threads + "]");
    context = JavaSparkContext.fromSparkContext(spark.sparkContext());
    TransformerConfig config =
        TransformerConfig.llama(VOCABULARY, HIDDEN, INTERMEDIATE, LAYERS, HEADS, MAX_TOKENS)
            .withHead(TransformerConfig.Head.SEQUENCE_CLASSIFICATION);
    Dataset<String> text = spark.createDataset(List.of("a text to learn from"), Encoders.STRING());
    TokenizerFile tokenizer = new BpeTrainer(BpeTrainer.MINIMUM_VOCABULARY_SIZE).train(text);
    model = new LanguageModel(config, config.layout().initialWeights(1), tokenizer);
    System.out.printf(
        "%-28s %9s %8s %8s %9s %11s %9s%n",
        "scored", "rows", "s", "rows/s", "CPU s", "rows/CPU s", "of sgemm");
    sgemm();
    TransformerRewardModel transformer = new TransformerRewardModel(model);
    double flops = flopsPerRow();
    measure("warm-up", 200, flops, () -> scored(transformer, texts(200)));
    if (arrivalRows > 0) {
      measure(
          "in order of arrival", arrivalRows, flops, () -> inOrderOfArrival(texts(arrivalRows)));
    }
    for (int rows : transformerRows) {
      measure("transformer", rows, flops, () -> scored(transformer, texts(rows)));
    }
    RewardModel linear = new BradleyTerryTrainer().fit(pairs());
    measure("warm-up", 2000, 0, () -> scored(linear, texts(2000)));
    for (int rows : linearRows) {
      measure("bradley-terry", rows, 0, () -> scored(linear, texts(rows)));
    }
    spark.stop();
    return 0;
  }

  /**
   * Texts of 8 to about 500 characters, which are tokens here: many short ones and some long ones,
   * as responses are. The exponent of a uniform number gives the lengths.
   */
  private Dataset<Row> texts(int rows) {
    return spark
        .range(0, rows, 1, 2 * threads)
        .selectExpr(
            "id",
            "'Say ' || id AS prompt",
            "substring(repeat(sha2(cast(id AS STRING), 256), 8), 1,"
                + " cast(exp(ln(8) + pmod(xxhash64(id), 100000) / 1e5 * ln(480 / 8)) AS INT))"
                + " AS response");
  }

  private Dataset<Row> pairs() {
    return spark
        .range(400)
        .selectExpr(
            "'p' || id AS pair_id",
            "'Say ' || id AS prompt",
            "'well ' || sha2('c' || id, 256) AS chosen",
            "'bad ' || sha2('r' || id, 256) AS rejected",
            "0.9D AS probability",
            "0D AS margin",
            "1D AS weight");
  }

  private static long scored(RewardModel model, Dataset<Row> texts) {
    // A sum needs the scores; a count would not.
    return model.score(texts).selectExpr("count(score)", "sum(score)").first().getLong(0);
  }

  /** What one would write first: batches of neighbours, padded, all positions in all layers. */
  private long inOrderOfArrival(Dataset<Row> texts) {
    Broadcast<Shipped> shipped =
        context.broadcast(new Shipped(model.config(), model.weights(), model.tokenizer()));
    JavaRDD<Row> rows = texts.select("prompt", "response").javaRDD();
    return rows.mapPartitions(partition -> arrived(partition, shipped.value()).iterator()).count();
  }

  static List<Float> arrived(Iterator<Row> rows, Shipped shipped) {
    List<Float> scores = new ArrayList<>();
    Tokenizer tokenizer = Tokenizer.of(shipped.tokenizer());
    while (rows.hasNext()) {
      List<int[]> batch = new ArrayList<>();
      while (rows.hasNext() && batch.size() < ARRIVAL_BATCH) {
        Row row = rows.next();
        int[] tokens =
            TextExample.concatenated(
                tokenizer.encodePrompt(row.getString(0)),
                tokenizer.encodeResponse(row.getString(1)));
        batch.add(tokens);
      }
      try (ReplicaPool.Lease lease = ReplicaPool.lease(shipped.config(), shipped.weights(), 0);
          GradMode ignored = GradMode.inference();
          NDManager manager = lease.replica().newManager()) {
        NDArray outputs =
            SequenceBatch.atLastTokens(batch).outputs(lease.replica(), manager, false);
        for (float score : outputs.toFloatArray()) {
          scores.add(score);
        }
      }
    }
    return scores;
  }

  /** FLOPs of a whole forward pass over the tokens of a row, without padding. */
  private double flopsPerRow() {
    Tokenizer tokenizer = Tokenizer.of(model.tokenizer());
    return texts(2000).collectAsList().stream()
        .mapToDouble(
            row -> {
              int tokens =
                  tokenizer.encodePrompt(row.getString(1)).length
                      + tokenizer.encodeResponse(row.getString(2)).length;
              double blocks =
                  (double) LAYERS * (4.0 * HIDDEN * HIDDEN + 3.0 * HIDDEN * INTERMEDIATE);
              return tokens * (2 * blocks + 4.0 * HIDDEN * (tokens / 2.0) * LAYERS);
            })
        .average()
        .orElseThrow();
  }

  private void measure(String what, int rows, double flopsPerRow, LongSupplier work) {
    long cpuBefore = system.getProcessCpuTime();
    long startedNanos = System.nanoTime();
    long scored = work.getAsLong();
    double seconds = (System.nanoTime() - startedNanos) / GIGA;
    double cpuSeconds = (system.getProcessCpuTime() - cpuBefore) / GIGA;
    if (scored != rows) {
      throw new IllegalStateException(scored + " of " + rows + " rows were scored");
    }
    System.out.printf(
        Locale.ROOT,
        "%-28s %9d %8.1f %8.1f %9.1f %11.1f %9s%n",
        what,
        rows,
        seconds,
        rows / seconds,
        cpuSeconds,
        rows / cpuSeconds,
        flopsPerRow == 0
            ? ""
            : String.format(
                Locale.ROOT,
                "%.0f %% %.0f %%",
                100 * rows * flopsPerRow / seconds / sgemmPerSecond,
                100 * rows * flopsPerRow / cpuSeconds / sgemmPerCpuSecond));
  }

  /** FLOPs per second, by the clock and by the processor, of large products in all tasks. */
  private void sgemm() {
    double flops = 2.0 * SGEMM_SIZE * SGEMM_SIZE * SGEMM_SIZE * SGEMM_PRODUCTS * threads;
    for (int i = 0; i < 3; i++) {
      long cpuBefore = system.getProcessCpuTime();
      long startedNanos = System.nanoTime();
      context
          .parallelize(IntStream.range(0, threads).boxed().toList(), threads)
          .foreach(task -> products());
      sgemmPerSecond =
          Math.max(sgemmPerSecond, flops / ((System.nanoTime() - startedNanos) / GIGA));
      sgemmPerCpuSecond =
          Math.max(sgemmPerCpuSecond, flops / ((system.getProcessCpuTime() - cpuBefore) / GIGA));
    }
    System.out.printf(
        Locale.ROOT,
        "sgemm: %.1f GFLOP/s, %.1f per CPU second%n",
        sgemmPerSecond / GIGA,
        sgemmPerCpuSecond / GIGA);
  }

  private static void products() {
    try (GradMode ignored = GradMode.inference();
        NDManager manager = NDManager.newBaseManager()) {
      NDArray left = manager.ones(new Shape(SGEMM_SIZE, SGEMM_SIZE));
      NDArray right = manager.ones(new Shape(SGEMM_SIZE, SGEMM_SIZE));
      for (int i = 0; i < SGEMM_PRODUCTS; i++) {
        left.matMul(right).close();
      }
    }
  }
}
