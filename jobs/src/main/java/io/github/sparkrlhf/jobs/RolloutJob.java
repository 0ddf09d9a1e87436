package io.github.sparkrlhf.jobs;

import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.lit;
import static org.apache.spark.sql.functions.pmod;
import static org.apache.spark.sql.functions.xxhash64;

import io.github.sparkrlhf.lm.LanguageModel;
import io.github.sparkrlhf.lm.ModelDirectories;
import io.github.sparkrlhf.lm.Tokenizer;
import io.github.sparkrlhf.lm.TransformerConfig;
import io.github.sparkrlhf.policy.LogitFilter;
import io.github.sparkrlhf.policy.Rollout;
import io.github.sparkrlhf.policy.RolloutSampler;
import io.github.sparkrlhf.policy.SamplingOptions;
import io.github.sparkrlhf.spark.JobFailure;
import io.github.sparkrlhf.tables.Table;
import io.github.sparkrlhf.training.Progress;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Function;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.storage.StorageLevel;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Lets a language model answer prompts in bulk. */
@Command(
    name = "rollout",
    description = {
      "Lets a language model answer any table of prompts. Writes a part of the answers at a time: an interrupted run goes on where it stopped.",
      "Each EXPRESSION is Spark SQL over the columns of the input."
    })
final class RolloutJob extends JobCommand {
  @Mixin private PromptOptions promptOptions;

  @Option(
      names = "--policy",
      required = true,
      paramLabel = "DIR",
      description = "The language model.")
  private Path policy;

  @Option(
      names = "--samples-per-prompt",
      paramLabel = "N",
      defaultValue = "1",
      description = "Responses to each prompt (default: ${DEFAULT-VALUE}).")
  private int samplesPerPrompt;

  @Option(
      names = "--max-new-tokens",
      paramLabel = "TOKENS",
      defaultValue = "64",
      description =
          "Longest response in tokens, the stop token included (default: ${DEFAULT-VALUE}).")
  private int maxNewTokens;

  @Option(
      names = "--temperature",
      paramLabel = "T",
      defaultValue = "1.0",
      description =
          "The logits are divided by it; 0 always takes the most probable token (default: ${DEFAULT-VALUE}).")
  private double temperature;

  @Option(
      names = "--top-k",
      paramLabel = "N",
      defaultValue = "0",
      description =
          "Draw among this many most probable tokens; 0 draws among all (default: ${DEFAULT-VALUE}).")
  private int topK;

  @Option(
      names = "--top-p",
      paramLabel = "SHARE",
      defaultValue = "1.0",
      description =
          "Draw among the fewest tokens that together have this probability, in (0, 1] (default: ${DEFAULT-VALUE}).")
  private double topP;

  @Option(
      names = "--min-p",
      paramLabel = "SHARE",
      defaultValue = "0.0",
      description =
          "Draw among tokens at least this share as probable as the most probable one, in [0, 1) (default: ${DEFAULT-VALUE}).")
  private double minP;

  @Option(
      names = "--repetition-penalty",
      paramLabel = "FACTOR",
      defaultValue = "1.0",
      description =
          "Above 1, tokens that stand in the prompt or the response already become less probable (default: ${DEFAULT-VALUE}).")
  private double repetitionPenalty;

  @Option(
      names = "--stop",
      paramLabel = "TEXT",
      description =
          "End a response where its text contains this; the text of the row ends before it, its tokens with it; may be repeated (default: only the model's end tokens).")
  private List<String> stopStrings = List.of();

  @Option(
      names = "--batch",
      paramLabel = "ROWS",
      defaultValue = "32",
      description =
          "Responses of a lane that are decoded together; one that ends leaves its place to the next prompt (default: ${DEFAULT-VALUE}).")
  private int batch;

  @Option(
      names = "--lanes",
      paramLabel = "N",
      defaultValue = "4",
      description =
          "Lanes, a power of two: the most tasks that sample at the same time (default: ${DEFAULT-VALUE}).")
  private int lanes;

  @Option(
      names = "--part",
      paramLabel = "PROMPTS",
      defaultValue = "1024",
      description =
          "Prompts that are answered and written together, about; the column iteration numbers the parts (default: ${DEFAULT-VALUE}).")
  private int part;

  @Option(
      names = "--seed",
      paramLabel = "NUMBER",
      defaultValue = "0",
      description = "Another seed draws other responses (default: ${DEFAULT-VALUE}).")
  private long seed;

  @Override
  protected void validate(Given given) {
    Given.requireCount("samples-per-prompt", samplesPerPrompt);
    Given.requireCount("max-new-tokens", maxNewTokens);
    Given.requireCount("batch", batch);
    Given.requireCount("part", part);
    Given.requireLanes(lanes);
    // Ranges are errors before anything is opened.
    sampling(new SamplingOptions.Stop(List.of(), stopStrings, null));
  }

  private SamplingOptions sampling(SamplingOptions.Stop stop) {
    LogitFilter filter = new LogitFilter(repetitionPenalty, topK, topP, minP);
    return new SamplingOptions(temperature, maxNewTokens, stop, filter);
  }

  @Override
  protected boolean usesTransformers() {
    return true;
  }

  @Override
  protected List<String> inputFingerprints(JobContext context) {
    return List.of(promptOptions.fingerprint(context.spark()), ModelDirectories.digest(policy));
  }

  @Override
  protected Map<String, Object> execute(JobContext context) {
    LanguageModel model = LanguageModel.load(policy);
    if (model.config().head() != TransformerConfig.Head.CAUSAL_LM) {
      throw JobFailure.usage("Cannot sample from " + policy + ": it is no language model");
    }
    Dataset<Row> prompts = promptOptions.rows(context).persist(StorageLevel.MEMORY_AND_DISK());
    try {
      long count = prompts.count();
      if (count == 0) {
        throw JobFailure.dataQuality("Cannot sample: there are no prompts");
      }
      int parts = Math.toIntExact((count + part - 1) / part);
      sampleMissing(context, model, prompts, parts);
      context.run().removeIterationsAfter(Table.ROLLOUTS, parts - 1);
      return summary(context, count);
    } finally {
      prompts.unpersist();
    }
  }

  private void sampleMissing(
      JobContext context, LanguageModel model, Dataset<Row> prompts, int parts) {
    Tokenizer tokenizer = Tokenizer.of(model.tokenizer());
    SamplingOptions.Stop stop =
        new SamplingOptions.Stop(model.tokenizer().stopIds(), stopStrings, model.tokenizer());
    RolloutSampler sampler =
        new RolloutSampler(
            JavaSparkContext.fromSparkContext(context.spark().sparkContext()),
            model.config(),
            sampling(stop),
            lanes,
            batch,
            seed);
    Progress progress = new Progress(context.out(), "rollout", parts);
    Set<Integer> written = context.run().writtenIterations(Table.ROLLOUTS);
    int room = model.config().maxPositions() - maxNewTokens;
    for (int number = 0; number < parts; number++) {
      if (written.contains(number)) {
        continue;
      }
      Dataset<Row> rows =
          prompts.where(pmod(xxhash64(col("prompt_id")), lit(parts)).equalTo(number));
      List<RolloutSampler.Prompt> asked =
          PromptOptions.tokenized(rows, tokenizer, room, maxNewTokens, "the policy has");
      if (asked.isEmpty()) {
        // Prompts are dealt by hash: a part of a few may get none.
        continue;
      }
      long startedNanos = System.nanoTime();
      // The part is not in the key of the random numbers: a response does not depend on it.
      List<Rollout> rollouts = sampler.sample(model.weights(), asked, samplesPerPrompt, 0);
      double seconds = (System.nanoTime() - startedNanos) / 1e9;
      write(
          context,
          number,
          asked,
          rollouts,
          rollout -> stop.before(tokenizer.decode(rollout.response())));
      long tokens = rollouts.stream().mapToLong(rollout -> rollout.response().length).sum();
      progress.step(
          number + 1L, "%d responses, %.0f tokens/s".formatted(rollouts.size(), tokens / seconds));
    }
  }

  private static void write(
      JobContext context,
      int number,
      List<RolloutSampler.Prompt> asked,
      List<Rollout> rollouts,
      Function<Rollout, String> text) {
    Map<String, String> texts = new HashMap<>();
    asked.forEach(prompt -> texts.put(prompt.id(), prompt.text()));
    List<Row> rows =
        rollouts.stream()
            .map(
                rollout ->
                    RolloutRows.sampled(
                        number, rollout, texts.get(rollout.promptId()), text.apply(rollout)))
            .toList();
    Dataset<Row> frame =
        context.spark().createDataFrame(rows, Table.ROLLOUTS.schemaWithoutRun()).coalesce(1);
    context.run().writeIteration(Table.ROLLOUTS, number, frame);
  }

  private Map<String, Object> summary(JobContext context, long prompts) {
    Row totals =
        context
            .run()
            .rows(Table.ROLLOUTS)
            .selectExpr("count(*)", "coalesce(sum(size(response_tokens)), 0)", "count_if(stopped)")
            .first();
    long responses = totals.getLong(0);
    context
        .out()
        .printf(
            "%,d responses to %,d prompts, %,d tokens, %,d ended by the model%n",
            responses, prompts, totals.getLong(1), totals.getLong(2));
    return Map.of(
        "prompts",
        prompts,
        "responses",
        responses,
        "tokens",
        totals.getLong(1),
        "stopped",
        totals.getLong(2));
  }
}
