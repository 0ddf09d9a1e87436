package io.github.sparkrlhf.jobs;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.types.Shape;
import io.github.sparkrlhf.lm.BpeTrainer;
import io.github.sparkrlhf.lm.GradMode;
import io.github.sparkrlhf.lm.LanguageModel;
import io.github.sparkrlhf.lm.TokenizerFile;
import io.github.sparkrlhf.lm.TransformerConfig;
import io.github.sparkrlhf.policy.Rollout;
import io.github.sparkrlhf.policy.RolloutSampler;
import io.github.sparkrlhf.policy.SamplingOptions;
import io.github.sparkrlhf.ppo.Algorithm;
import io.github.sparkrlhf.ppo.Averaging;
import io.github.sparkrlhf.ppo.KlController;
import io.github.sparkrlhf.ppo.KlEstimator;
import io.github.sparkrlhf.ppo.KlUse;
import io.github.sparkrlhf.ppo.LossSettings;
import io.github.sparkrlhf.ppo.PpoLoss;
import io.github.sparkrlhf.ppo.PpoSettings;
import io.github.sparkrlhf.ppo.PpoTrainer;
import io.github.sparkrlhf.ppo.RatioLevel;
import io.github.sparkrlhf.ppo.RewardSources;
import io.github.sparkrlhf.ppo.ScoreSettings;
import io.github.sparkrlhf.ppo.WatchdogSettings;
import io.github.sparkrlhf.reward.PairExample;
import io.github.sparkrlhf.reward.PairwiseObjective;
import io.github.sparkrlhf.reward.TransformerRewardModel;
import io.github.sparkrlhf.spark.CounterRandom;
import io.github.sparkrlhf.spark.Sessions;
import io.github.sparkrlhf.spark.StableHash;
import io.github.sparkrlhf.training.AdamW;
import io.github.sparkrlhf.training.Checkpoints;
import io.github.sparkrlhf.training.Example;
import io.github.sparkrlhf.training.GradientClipping;
import io.github.sparkrlhf.training.LaneSettings;
import io.github.sparkrlhf.training.LanguageModelObjective;
import io.github.sparkrlhf.training.Objective;
import io.github.sparkrlhf.training.Progress;
import io.github.sparkrlhf.training.TextExample;
import io.github.sparkrlhf.training.Trainables;
import io.github.sparkrlhf.training.Trainer;
import io.github.sparkrlhf.training.TrainingEngine;
import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import java.util.function.IntFunction;
import java.util.function.IntToDoubleFunction;
import java.util.stream.IntStream;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Encoders;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/**
 * Measures what the neural core does per second, through the same classes as the jobs: lanes,
 * broadcasts, the optimiser and all. Each figure stands beside the matrix products of the same
 * process, the ceiling.
 */
@Command(
    name = "model-benchmark",
    description = "Measures training, generation, scoring and PPO of a language model.",
    mixinStandardHelpOptions = true)
final class ModelBenchmark implements Callable<Integer> {
  private static final int SGEMM_SIZE = 1024;
  private static final int SGEMM_PRODUCTS = 40;
  private static final int TRAINING_ROWS = 16;
  private static final int TRAINING_TOKENS = 256;
  private static final int PROMPT_TOKENS = 64;
  private static final int NEW_TOKENS = 64;
  private static final int GENERATION_BATCH = 32;
  private static final int SCORED = 256;
  private static final int SHORTEST_SCORED = 32;
  private static final int ROLLOUTS = 64;
  private static final int WARM_UP_SECONDS = 10;
  private static final double GIGA = 1e9;

  /** What is measured. */
  enum Work {
    GENERATE,
    TRAIN,
    REWARD,
    SCORE,
    PPO,
    PPO_SHARED
  }

  @Option(
      names = "--work",
      split = ",",
      defaultValue = "GENERATE,TRAIN,REWARD,SCORE,PPO,PPO_SHARED",
      description = "What is measured: ${COMPLETION-CANDIDATES} (default: ${DEFAULT-VALUE}).")
  private List<Work> works;

  @Option(
      names = "--hidden-size",
      defaultValue = "256",
      description = "Width of the model (default: ${DEFAULT-VALUE}).")
  private int hiddenSize;

  @Option(
      names = "--intermediate-size",
      defaultValue = "688",
      description = "Width of its feed-forward layers (default: ${DEFAULT-VALUE}).")
  private int intermediateSize;

  @Option(
      names = "--layers",
      defaultValue = "6",
      description = "Its layers (default: ${DEFAULT-VALUE}).")
  private int layers;

  @Option(
      names = "--heads",
      defaultValue = "8",
      description = "Its attention heads (default: ${DEFAULT-VALUE}).")
  private int heads;

  @Option(
      names = "--vocabulary",
      defaultValue = "4096",
      description = "Its tokens (default: ${DEFAULT-VALUE}).")
  private int vocabulary;

  @Option(
      names = "--threads",
      defaultValue = "2",
      description =
          "Tasks that run at the same time, with one thread each (default: ${DEFAULT-VALUE}).")
  private int threads;

  @Option(
      names = "--repeat",
      defaultValue = "5",
      description =
          "How often each is measured, after runs of 10 seconds that do not count (default: ${DEFAULT-VALUE}).")
  private int repeat;

  private final CounterRandom random = new CounterRandom(1, "benchmark");
  private SparkSession spark;
  private JavaSparkContext context;
  private LanguageModel model;
  private LanguageModel scorer;
  private final List<Double> ceilings = new ArrayList<>();

  /** Prints a table. */
  public static void main(String[] args) {
    System.exit(
        new CommandLine(new ModelBenchmark())
            .setCaseInsensitiveEnumValuesAllowed(true)
            .execute(args));
  }

  @Override
  public Integer call() {
    spark = Sessions.open("local[" + threads + "]");
    context = JavaSparkContext.fromSparkContext(spark.sparkContext());
    TransformerConfig config =
        TransformerConfig.llama(vocabulary, hiddenSize, intermediateSize, layers, heads, 512);
    Dataset<String> text = spark.createDataset(List.of("a text to learn from"), Encoders.STRING());
    TokenizerFile tokenizer = new BpeTrainer(BpeTrainer.MINIMUM_VOCABULARY_SIZE).train(text);
    model = new LanguageModel(config, config.layout().initialWeights(1), tokenizer);
    scorer = model.withHead(TransformerConfig.Head.SEQUENCE_CLASSIFICATION, 2);
    System.out.printf(
        "%,d parameters; %d tasks with one thread each; median of %d (least to most)%n",
        model.weights().length, threads, repeat);
    System.out.printf(
        "%-34s %9s %19s %9s %7s%n", "work", "per s", "least to most", "GFLOP/s", "of sgemm");
    ceiling();
    for (Work work : works) {
      switch (work) {
        case GENERATE -> report("generated tokens", generationFlops(), timed(this::generation));
        case TRAIN ->
            report("trained tokens", 3 * tokenFlops(TRAINING_TOKENS, true), timed(training()));
        case REWARD ->
            report(
                "trained pairs",
                6.0 * TRAINING_TOKENS * tokenFlops(TRAINING_TOKENS, false),
                timed(rewardTraining()));
        case SCORE ->
            report("scored sequences, 32 to 256 tokens", scoringFlops(), timed(scoring()));
        case PPO ->
            report("PPO iterations", ppoFlops(2), run -> ppo(Trainables.all(model, scorer)));
        case PPO_SHARED ->
            report("PPO iterations, shared trunk", ppoFlops(1), run -> ppo(sharedTrunk()));
        default -> throw new IllegalStateException("unknown work " + work);
      }
    }
    Collections.sort(ceilings);
    System.out.printf(
        Locale.ROOT,
        "sgemm, %d × %d, between the runs: %.0f GFLOP/s (%.0f–%.0f)%n",
        SGEMM_SIZE,
        SGEMM_SIZE,
        ceilings.get(ceilings.size() / 2),
        ceilings.get(0),
        ceilings.get(ceilings.size() - 1));
    spark.stop();
    return 0;
  }

  /** FLOPs of the forward pass of one token, in a sequence of so many, causal. */
  private double tokenFlops(double length, boolean logits) {
    double blocks =
        (double) layers * (4.0 * hiddenSize * hiddenSize + 3.0 * hiddenSize * intermediateSize);
    double attention = 4.0 * hiddenSize * (length / 2) * layers;
    return 2 * blocks + attention + (logits ? 2.0 * hiddenSize * vocabulary : 0);
  }

  /** FLOPs per new token, its share of reading the prompt included. */
  private double generationFlops() {
    double prompt = PROMPT_TOKENS * tokenFlops(PROMPT_TOKENS, false);
    double answer = NEW_TOKENS * tokenFlops(2.0 * PROMPT_TOKENS + NEW_TOKENS, true);
    return (prompt + answer) / NEW_TOKENS;
  }

  private double scoringFlops() {
    return Arrays.stream(scoredLengths())
        .mapToDouble(length -> length * tokenFlops(length, false))
        .average()
        .orElseThrow();
  }

  /**
   * Sampling, the trained networks and the reference over the samples, a reward model, four epochs
   * for the trained networks.
   *
   * @param trunks that are trained: of policy and critic, or one for both
   */
  private double ppoFlops(int trunks) {
    double length = PROMPT_TOKENS + NEW_TOKENS;
    double rows = ROLLOUTS;
    double trunk = length * tokenFlops(length, false);
    double logits = NEW_TOKENS * 2.0 * hiddenSize * vocabulary;
    double sampled = NEW_TOKENS * generationFlops();
    double trained = trunks * trunk + logits;
    return rows * (sampled + trained + (trunk + logits) + trunk + 4 * 3 * trained);
  }

  /** Work that is measured: how many units a run did per second. */
  private interface Rate {
    double of(int run);
  }

  /** How many of the units that a call returns are done per second. */
  private static Rate timed(IntToDoubleFunction units) {
    return run -> {
      long startedNanos = System.nanoTime();
      double count = units.applyAsDouble(run);
      return count / ((System.nanoTime() - startedNanos) / GIGA);
    };
  }

  /** Each run stands between two measurements of the ceiling: other load changes within minutes. */
  private void report(String what, double flopsPerUnit, Rate rate) {
    long startedNanos = System.nanoTime();
    int warmUps = 0;
    do {
      double unused = rate.of(--warmUps);
    } while (System.nanoTime() - startedNanos < WARM_UP_SECONDS * GIGA);
    double[] perSecond = new double[repeat];
    double[] shares = new double[repeat];
    double before = ceiling();
    for (int i = 0; i < repeat; i++) {
      perSecond[i] = rate.of(i);
      double after = ceiling();
      shares[i] = perSecond[i] * flopsPerUnit / GIGA / ((before + after) / 2);
      before = after;
    }
    Arrays.sort(perSecond);
    Arrays.sort(shares);
    System.out.printf(
        Locale.ROOT,
        "%-34s %9.2f %9.2f–%9.2f %9.1f %6.0f %% (%.0f–%.0f)%n",
        what,
        perSecond[repeat / 2],
        perSecond[0],
        perSecond[repeat - 1],
        perSecond[repeat / 2] * flopsPerUnit / GIGA,
        100 * shares[repeat / 2],
        100 * shares[0],
        100 * shares[repeat - 1]);
  }

  /** GFLOP/s of products of large square matrices in as many tasks as everything else has. */
  private double ceiling() {
    double perSecond =
        context
            .parallelize(IntStream.range(0, threads).boxed().toList(), threads)
            .map(task -> products(SGEMM_SIZE))
            .reduce(Double::sum);
    double gigaflops = perSecond * 2.0 * SGEMM_SIZE * SGEMM_SIZE * SGEMM_SIZE / GIGA;
    ceilings.add(gigaflops);
    return gigaflops;
  }

  private static double products(int size) {
    try (GradMode ignored = GradMode.inference();
        NDManager manager = NDManager.newBaseManager()) {
      NDArray left = manager.ones(new Shape(size, size));
      NDArray right = manager.ones(new Shape(size, size));
      long startedNanos = System.nanoTime();
      for (int i = 0; i < SGEMM_PRODUCTS; i++) {
        left.matMul(right).close();
      }
      return SGEMM_PRODUCTS / ((System.nanoTime() - startedNanos) / GIGA);
    }
  }

  private int[] tokens(int length, long key) {
    int[] tokens = new int[length];
    for (int i = 0; i < length; i++) {
      tokens[i] = 3 + (int) (random.uniform(key, i) * (vocabulary - 3));
    }
    return tokens;
  }

  private double generation(int run) {
    int batch = GENERATION_BATCH * threads;
    RolloutSampler sampler =
        new RolloutSampler(
            context,
            model.config(),
            new SamplingOptions(1, NEW_TOKENS, SamplingOptions.Stop.at(List.of())),
            threads,
            GENERATION_BATCH,
            1);
    List<Rollout> rollouts = sampler.sample(model.weights(), prompts(2 * batch), 1, run);
    return rollouts.stream().mapToInt(rollout -> rollout.response().length).sum();
  }

  private List<RolloutSampler.Prompt> prompts(int count) {
    return IntStream.range(0, count)
        .mapToObj(i -> new RolloutSampler.Prompt("p" + i, "prompt", tokens(PROMPT_TOKENS, i)))
        .toList();
  }

  private IntToDoubleFunction training() {
    LanguageModelObjective objective = new LanguageModelObjective(model.config());
    IntFunction<TextExample> row =
        i -> new TextExample("r" + i, tokens(1, i), tokens(TRAINING_TOKENS - 1, 1000L + i));
    return steps(objective, row, model, TRAINING_ROWS * TRAINING_TOKENS);
  }

  private IntToDoubleFunction rewardTraining() {
    PairwiseObjective objective = new PairwiseObjective(scorer.config());
    IntFunction<PairExample> row =
        i ->
            new PairExample(
                "r" + i, tokens(TRAINING_TOKENS, i), tokens(TRAINING_TOKENS, 1000L + i), 1, 0);
    return steps(objective, row, scorer, TRAINING_ROWS);
  }

  /** Training steps with AdamW and clipping, on rows that lie evenly in the lanes. */
  private <E extends Example> IntToDoubleFunction steps(
      Objective<E> objective, IntFunction<E> row, LanguageModel start, double unitsPerStep) {
    List<E> rows = evenRows(row);
    TrainingEngine<E> engine =
        new TrainingEngine<>(
            context,
            context.parallelize(rows, threads),
            new LaneSettings(threads, TRAINING_ROWS / threads, 1),
            objective);
    float[] weights = start.weights().clone();
    AdamW optimizer =
        new AdamW(
            weights.length,
            Trainer.segments(start.config().layout(), 0, 1),
            new AdamW.Settings(0.9, 0.999, 1e-8, 0.01));
    return run -> {
      TrainingEngine.Round round = engine.round(weights, Math.max(0, run), 0, "step " + run);
      double unused = GradientClipping.globalNorm(round.gradient(), 1);
      optimizer.step(weights, round.gradient(), 1e-4);
      return unitsPerStep;
    };
  }

  /** As many rows for each lane. */
  private <E extends Example> List<E> evenRows(IntFunction<E> row) {
    List<E> rows = new ArrayList<>();
    int[] taken = new int[threads];
    for (int i = 0; rows.size() < TRAINING_ROWS; i++) {
      E candidate = row.apply(i);
      int lane = StableHash.lane(candidate.id(), threads);
      if (taken[lane] < TRAINING_ROWS / threads) {
        taken[lane]++;
        rows.add(candidate);
      }
    }
    return rows;
  }

  private static int[] scoredLengths() {
    return IntStream.range(0, SCORED)
        .map(i -> SHORTEST_SCORED + i * (TRAINING_TOKENS - SHORTEST_SCORED) / (SCORED - 1))
        .toArray();
  }

  /** The job's way: text in, tokenized, sorted by length. A character is a token here. */
  private IntToDoubleFunction scoring() {
    List<Row> rows = new ArrayList<>();
    for (int length : scoredLengths()) {
      StringBuilder text = new StringBuilder();
      for (int i = 0; i < length - 4; i++) {
        text.append((char) ('0' + (int) (random.uniform(length, i) * 10)));
      }
      rows.add(RowFactory.create("", text.toString()));
    }
    StructType schema =
        new StructType()
            .add("prompt", DataTypes.StringType, false)
            .add("response", DataTypes.StringType, false);
    Dataset<Row> texts = spark.createDataFrame(rows, schema).cache();
    TransformerRewardModel reward = new TransformerRewardModel(scorer);
    return run -> reward.score(texts).agg(Map.of("score", "count")).first().getLong(0);
  }

  /** Two iterations; the final policy's sampling after them is not counted. */
  private double ppo(Trainables networks) {
    PpoTrainer trainer =
        new PpoTrainer(
            spark, networks, RewardSources.of(new TransformerRewardModel(scorer)), ppoSettings());
    Map<String, Double> seconds = new TreeMap<>();
    trainer.train(
        prompts(ROLLOUTS),
        new Checkpoints(Path.of("target/none"), "none", trainer.parameterLayout(), 1),
        (iteration, rollouts, metrics) -> {
          if (metrics.containsKey("eps")) {
            seconds.merge("iteration", ROLLOUTS / metrics.get("eps"), Double::sum);
            metrics.forEach(
                (name, value) -> {
                  if (name.startsWith("seconds/")) {
                    seconds.merge(name, value, Double::sum);
                  }
                });
          }
        },
        new Progress(new PrintStream(OutputStream.nullOutputStream()), "ppo", 2));
    seconds.replaceAll((phase, sum) -> Math.round(10 * sum / 2) / 10.0);
    System.out.println("  seconds of a PPO iteration: " + seconds);
    return 1 / seconds.get("iteration");
  }

  private Trainables sharedTrunk() {
    return Trainables.all(model.withHead(TransformerConfig.Head.CAUSAL_LM_AND_SCORE, 1));
  }

  private PpoSettings ppoSettings() {
    return new PpoSettings(
        Algorithm.PPO,
        2,
        new PpoSettings.Sampling(ROLLOUTS, 1, NEW_TOKENS, 1, GENERATION_BATCH),
        new PpoSettings.Reward(
            KlController.fixed(0.05),
            KlEstimator.K1,
            KlUse.REWARD,
            ScoreSettings.of(ScoreSettings.Scaling.NONE, 0),
            false,
            1,
            0.95),
        new PpoSettings.Update(
            4,
            4,
            0,
            1e-5,
            1e-5,
            new LossSettings(PpoLoss.Clip.DEFAULT, RatioLevel.TOKEN, Averaging.TOKENS, 0.1, 0),
            1,
            Double.POSITIVE_INFINITY),
        WatchdogSettings.QUIET,
        threads,
        1000,
        1);
  }
}
