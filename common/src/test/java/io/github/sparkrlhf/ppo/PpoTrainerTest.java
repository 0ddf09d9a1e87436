package io.github.sparkrlhf.ppo;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.github.sparkrlhf.lm.LanguageModel;
import io.github.sparkrlhf.lm.Lora;
import io.github.sparkrlhf.lm.ParameterLayout;
import io.github.sparkrlhf.lm.TestTokenizers;
import io.github.sparkrlhf.lm.Tokenizer;
import io.github.sparkrlhf.lm.TokenizerFile;
import io.github.sparkrlhf.lm.TransformerConfig;
import io.github.sparkrlhf.policy.RolloutSampler;
import io.github.sparkrlhf.reward.RewardModel;
import io.github.sparkrlhf.spark.JobFailure;
import io.github.sparkrlhf.spark.SparkTestSession;
import io.github.sparkrlhf.training.Checkpoints;
import io.github.sparkrlhf.training.Progress;
import io.github.sparkrlhf.training.Trainables;
import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.functions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class PpoTrainerTest {
  private static final int ITERATIONS = 15;
  private static final int RESPONSES = 32;

  // Columns of a rollout row.
  private static final int LOG_PROBABILITIES = 10;
  private static final int REFERENCE = 11;
  private static final int PROMPT_ID = 2;
  private static final int VALUES = 12;
  private static final int ADVANTAGES = 14;
  private static final int RETURNS = 15;
  private static final int SCORE = 16;
  private static final int KL = 17;

  private static final TokenizerFile TOKENIZER = TestTokenizers.bytes();
  private static final LanguageModel POLICY = model(TransformerConfig.Head.CAUSAL_LM, 1);
  private static final LanguageModel CRITIC =
      model(TransformerConfig.Head.SEQUENCE_CLASSIFICATION, 2);

  /** A policy whose embedding, which adapters leave as it is, can tell tokens apart. */
  private static final LanguageModel SHARP = sharp(POLICY);

  @TempDir Path directory;

  /** What a trainer told its recorder, iteration by iteration; a repeated one replaces. */
  private static final class Recording implements PpoTrainer.Recorder {
    final Map<Integer, List<Row>> rows = new TreeMap<>();
    final Map<Integer, Map<String, Double>> metrics = new TreeMap<>();
    final List<Integer> told = new ArrayList<>();
    private final int failAt;

    Recording(int failAt) {
      this.failAt = failAt;
    }

    @Override
    public void record(int iteration, List<RolloutRow> rollouts, Map<String, Double> values) {
      if (iteration == failAt) {
        throw new IllegalStateException("pulled the plug");
      }
      told.add(iteration);
      rows.put(iteration, rollouts.stream().map(RolloutRow::row).toList());
      Map<String, Double> timeless = new TreeMap<>(values);
      timeless.remove("eps");
      timeless.keySet().removeIf(name -> name.startsWith(PpoTrainer.SECONDS));
      metrics.put(iteration, timeless);
    }

    double metric(int iteration, String name) {
      return metrics.get(iteration).get(name);
    }
  }

  /** One point for each small letter of the response. */
  private record SmallLetters() implements RewardModel {
    @Override
    public String kind() {
      return "small letters";
    }

    @Override
    public Dataset<Row> score(Dataset<Row> rows) {
      return rows.withColumn(
          SCORE, functions.expr("cast(length(regexp_replace(response, '[^a-z]', '')) as double)"));
    }

    @Override
    public void save(Path target, Map<String, Object> provenance) {
      throw new UnsupportedOperationException();
    }
  }

  @Test
  void theScoreRisesAndEveryInvariantHolds() {
    Recording recording = new Recording(-1);
    PpoTrainer.Result result = train("run", ITERATIONS, recording);
    // One more than the iterations: the rows of the final policy.
    assertThat(recording.told).hasSize(ITERATIONS + 1).isSorted();
    double before = recording.metric(0, "objective/raw_scores");
    double after = recording.metric(ITERATIONS, "objective/raw_scores");
    assertThat(after).as("from %s", before).isGreaterThan(before + 1);
    assertThat(result.policy().weights()).isNotEqualTo(POLICY.weights());
    assertThat(result.models().get(1).weights()).isNotEqualTo(CRITIC.weights());

    assertThat(recording.metric(0, "objective/kl")).isZero();
    for (Row row : recording.rows.get(0)) {
      assertThat(row.getDouble(KL)).isZero();
      assertThat((Object[]) row.get(REFERENCE)).isEqualTo(row.get(LOG_PROBABILITIES));
    }
    assertThat(recording.metric(ITERATIONS, "objective/kl")).isGreaterThan(0.1);
    for (int iteration = 0; iteration < ITERATIONS; iteration++) {
      assertThat(recording.rows.get(iteration)).hasSize(RESPONSES);
      assertWhitened(recording.rows.get(iteration));
      assertThat(recording.metric(iteration, "episode")).isEqualTo(RESPONSES * (iteration + 1.0));
    }
    assertThat(recording.rows.get(ITERATIONS)).hasSize(RESPONSES);
    assertThat(recording.metrics.get(ITERATIONS)).doesNotContainKey("loss/policy_avg");
  }

  @ParameterizedTest
  @EnumSource(value = Algorithm.class, names = "PPO", mode = EnumSource.Mode.EXCLUDE)
  void algorithmsWithoutCriticTrainThePolicyAlone(Algorithm algorithm) {
    Recording recording = new Recording(-1);
    PpoTrainer trainer =
        new PpoTrainer(
            SparkTestSession.get(),
            Trainables.all(POLICY),
            new SmallLetters(),
            settings(algorithm, ITERATIONS));
    PpoTrainer.Result result =
        trainer.train(prompts(), checkpoints("run", trainer), recording, silent(ITERATIONS));
    double before = recording.metric(0, "objective/raw_scores");
    double after = recording.metric(ITERATIONS, "objective/raw_scores");
    assertThat(after).as("from %s", before).isGreaterThan(before + 0.5);
    assertThat(recording.metric(0, "objective/kl")).isZero();
    assertThat(recording.metric(ITERATIONS, "objective/kl")).isGreaterThan(0.05);
    assertThat(result.models()).hasSize(1);
    assertThat(result.trained()).hasSameSizeAs(POLICY.weights());
    assertThat(recording.rows.get(0).get(0).get(VALUES)).isNull();
    assertThat(recording.rows.get(0).get(0).get(RETURNS)).isNull();
    assertThat(recording.metrics.get(0))
        .doesNotContainKeys("loss/value_avg", "val/clipfrac_avg", "val/explained_variance");
    boolean inLoss = algorithm.klUse() == KlUse.LOSS;
    assertThat(recording.metrics.get(1).containsKey("loss/kl_avg")).isEqualTo(inLoss);
    assertThat(recording.metric(1, "objective/non_score_reward") == 0).isEqualTo(inLoss);
  }

  @Test
  void item15AdvantagesOfAGroupSumUpToZero() {
    Recording recording = new Recording(-1);
    PpoTrainer trainer =
        new PpoTrainer(
            SparkTestSession.get(),
            Trainables.all(POLICY),
            new SmallLetters(),
            settings(Algorithm.RLOO, 1));
    trainer.train(prompts(), checkpoints("run", trainer), recording, silent(1));
    List<Row> rows = recording.rows.get(0);
    for (int i = 0; i < rows.size(); i += 2) {
      assertThat(rows.get(i).getString(PROMPT_ID)).isEqualTo(rows.get(i + 1).getString(PROMPT_ID));
      Float[] first = (Float[]) rows.get(i).get(ADVANTAGES);
      Float[] second = (Float[]) rows.get(i + 1).get(ADVANTAGES);
      assertThat(first).containsOnly(first[0]);
      assertThat(first[0]).isEqualTo(-second[0]);
      assertThat((double) first[0])
          .isCloseTo(rows.get(i).getDouble(SCORE) - rows.get(i + 1).getDouble(SCORE), within(1e-5));
    }
  }

  @Test
  void groupsNeedTwoResponses() {
    PpoSettings two = settings(Algorithm.GRPO, 1);
    assertThatThrownBy(
            () ->
                new PpoSettings(
                    Algorithm.GRPO,
                    1,
                    new PpoSettings.Sampling(16, 1, 10, 1, 4),
                    two.reward(),
                    two.update(),
                    4,
                    2,
                    17))
        .isInstanceOf(JobFailure.class)
        .hasMessage("Cannot run PPO: samples per prompt for grpo cannot be 1");
  }

  @Test
  void twoRunsAreTheSameBitByBit() {
    Recording one = new Recording(-1);
    Recording other = new Recording(-1);
    PpoTrainer.Result first = train("one", 3, one);
    PpoTrainer.Result second = train("other", 3, other);
    assertSame(second, other, first, one);
    assertThat(one.metrics.get(1)).isNotEqualTo(one.metrics.get(0));
  }

  @Test
  void anInterruptedRunResumesAsIfItHadNeverStopped() {
    Recording whole = new Recording(-1);
    PpoTrainer.Result uninterrupted = train("whole", 5, whole);

    Recording broken = new Recording(3);
    assertThatThrownBy(() -> train("broken", 5, broken)).hasMessage("pulled the plug");
    assertThat(broken.told).containsExactly(0, 1, 2);
    Recording resumed = new Recording(-1);
    resumed.rows.putAll(broken.rows);
    resumed.metrics.putAll(broken.metrics);
    // The newest checkpoint is that of two iterations: the third is repeated.
    PpoTrainer.Result result = train("broken", 5, resumed);
    assertThat(resumed.told).containsExactly(2, 3, 4, 5);
    assertSame(result, resumed, uninterrupted, whole);
  }

  @Test
  void aCompleteRunOnlyRecordsItsFinalPolicyAgain() {
    Recording whole = new Recording(-1);
    PpoTrainer.Result first = train("run", 2, whole);
    Recording again = new Recording(-1);
    PpoTrainer.Result second = train("run", 2, again);
    assertThat(again.told).containsExactly(2);
    whole.rows.keySet().retainAll(again.told);
    whole.metrics.keySet().retainAll(again.told);
    assertSame(second, again, first, whole);
  }

  @Test
  void adaptersLearnToo() {
    Recording recording = new Recording(-1);
    PpoTrainer.Result result = trainAdapters("adapters", ITERATIONS, recording);
    double before = recording.metric(0, "objective/raw_scores");
    double after = recording.metric(ITERATIONS, "objective/raw_scores");
    assertThat(after).as("from %s", before).isGreaterThan(before + 1);
    assertThat(recording.metric(0, "objective/kl")).isZero();
    assertThat(recording.metric(ITERATIONS, "objective/kl")).isGreaterThan(0.1);
    for (ParameterLayout.Parameter parameter : SHARP.config().layout().parameters()) {
      boolean adapted = parameter.name().endsWith("_proj.weight");
      int from = parameter.offset();
      int to = from + parameter.size();
      assertThat(Arrays.equals(result.policy().weights(), from, to, SHARP.weights(), from, to))
          .as(parameter.name())
          .isEqualTo(!adapted);
    }
    assertThat(result.models().get(1).weights()).isNotEqualTo(CRITIC.weights());
    assertThat(result.trained().length).isLessThan(SHARP.weights().length);
  }

  @Test
  void anInterruptedRunOfAdaptersResumesAsIfItHadNeverStopped() {
    Recording whole = new Recording(-1);
    PpoTrainer.Result uninterrupted = trainAdapters("whole", 3, whole);
    Recording broken = new Recording(2);
    assertThatThrownBy(() -> trainAdapters("broken", 3, broken)).hasMessage("pulled the plug");
    Recording resumed = new Recording(-1);
    resumed.rows.putAll(broken.rows);
    resumed.metrics.putAll(broken.metrics);
    PpoTrainer.Result result = trainAdapters("broken", 3, resumed);
    assertThat(resumed.told).containsExactly(2, 3);
    assertSame(result, resumed, uninterrupted, whole);
  }

  @Test
  void tooFewPromptsAndForeignCriticsAreRefused() {
    assertThatThrownBy(
            () ->
                trainer(2)
                    .train(
                        prompts().subList(0, 3), checkpoints("few"), new Recording(-1), silent(2)))
        .isInstanceOfSatisfying(
            JobFailure.class, e -> assertThat(e.kind()).isEqualTo(JobFailure.Kind.USAGE))
        .hasMessage("Cannot run PPO: an iteration draws 16 prompts and there are only 3");
    TokenizerFile foreign =
        new TokenizerFile(
            TOKENIZER.json(), TOKENIZER.eosId(), TOKENIZER.bosId(), TOKENIZER.padId());
    assertThat(foreign).isNotEqualTo(TOKENIZER);
    LanguageModel critic = new LanguageModel(CRITIC.config(), CRITIC.weights(), foreign);
    assertThatThrownBy(
            () ->
                new PpoTrainer(
                    SparkTestSession.get(),
                    Trainables.all(POLICY, critic),
                    new SmallLetters(),
                    settings(2)))
        .isInstanceOf(JobFailure.class)
        .hasMessageContaining("different tokenizers");
  }

  private static void assertSame(
      PpoTrainer.Result found, Recording foundRows, PpoTrainer.Result expected, Recording rows) {
    assertThat(foundRows.metrics).isEqualTo(rows.metrics);
    assertThat(foundRows.rows.keySet()).isEqualTo(rows.rows.keySet()).isNotEmpty();
    rows.rows.forEach(
        (iteration, expectedRows) -> {
          assertThat(foundRows.rows.get(iteration)).hasSameSizeAs(expectedRows);
          for (int row = 0; row < expectedRows.size(); row++) {
            assertThat(values(foundRows.rows.get(iteration).get(row)))
                .isEqualTo(values(expectedRows.get(row)));
          }
        });
    assertThat(found.trained()).isEqualTo(expected.trained());
    assertThat(found.models()).hasSameSizeAs(expected.models());
    for (int i = 0; i < expected.models().size(); i++) {
      assertThat(found.models().get(i).weights()).isEqualTo(expected.models().get(i).weights());
    }
  }

  /** The columns, arrays as lists: equal if and only if every bit is. */
  private static List<Object> values(Row row) {
    List<Object> values = new ArrayList<>();
    for (int i = 0; i < row.size(); i++) {
      values.add(row.get(i) instanceof Object[] array ? List.of(array) : row.get(i));
    }
    return values;
  }

  private static void assertWhitened(List<Row> rows) {
    List<Float> advantages = new ArrayList<>();
    rows.forEach(row -> Collections.addAll(advantages, (Float[]) row.get(ADVANTAGES)));
    double mean = advantages.stream().mapToDouble(a -> a).average().orElseThrow();
    double squares = advantages.stream().mapToDouble(a -> (a - mean) * (a - mean)).sum();
    assertThat(mean).isCloseTo(0, within(1e-5));
    assertThat(squares / (advantages.size() - 1)).isCloseTo(1, within(1e-4));
  }

  private PpoTrainer.Result train(String name, int iterations, Recording recording) {
    return trainer(iterations).train(prompts(), checkpoints(name), recording, silent(iterations));
  }

  private static PpoTrainer trainer(int iterations) {
    return trainer(Trainables.all(POLICY, CRITIC), iterations);
  }

  private static PpoTrainer trainer(Trainables networks, int iterations) {
    return new PpoTrainer(
        SparkTestSession.get(), networks, new SmallLetters(), settings(iterations));
  }

  private PpoTrainer.Result trainAdapters(String name, int iterations, Recording recording) {
    JavaSparkContext context =
        JavaSparkContext.fromSparkContext(SparkTestSession.get().sparkContext());
    try (Trainables adapters =
        Trainables.adapters(context, new Lora(4, 8, List.of(Lora.ALL_LINEAR)), 3, SHARP, CRITIC)) {
      PpoTrainer trainer = trainer(adapters, iterations);
      return trainer.train(prompts(), checkpoints(name, trainer), recording, silent(iterations));
    }
  }

  private Checkpoints checkpoints(String name) {
    return checkpoints(name, trainer(1));
  }

  private Checkpoints checkpoints(String name, PpoTrainer trainer) {
    return new Checkpoints(
        directory.resolve(name), "digest", trainer.parameterLayout(), Checkpoints.DEFAULT_KEPT);
  }

  private static Progress silent(int iterations) {
    return new Progress(
        new PrintStream(OutputStream.nullOutputStream(), true, StandardCharsets.UTF_8),
        "ppo",
        iterations);
  }

  private static List<RolloutSampler.Prompt> prompts() {
    Tokenizer tokenizer = Tokenizer.of(TOKENIZER);
    List<RolloutSampler.Prompt> prompts = new ArrayList<>();
    for (int i = 0; i < 24; i++) {
      String text = "say " + "a".repeat(i % 5) + i;
      prompts.add(new RolloutSampler.Prompt("prompt-" + i, text, tokenizer.encodePrompt(text)));
    }
    return prompts;
  }

  private static LanguageModel model(TransformerConfig.Head head, long seed) {
    TransformerConfig config = TransformerConfig.llama(259, 32, 48, 2, 4, 64).withHead(head);
    return new LanguageModel(config, config.layout().initialWeights(seed), TOKENIZER);
  }

  private static LanguageModel sharp(LanguageModel model) {
    float[] weights = model.weights().clone();
    ParameterLayout.Parameter embedding =
        model.config().layout().parameter("model.embed_tokens.weight");
    for (int i = 0; i < embedding.size(); i++) {
      weights[embedding.offset() + i] *= 10;
    }
    return model.withWeights(weights);
  }

  private static PpoSettings settings(int iterations) {
    return settings(Algorithm.PPO, iterations);
  }

  private static PpoSettings settings(Algorithm algorithm, int iterations) {
    return new PpoSettings(
        algorithm,
        iterations,
        new PpoSettings.Sampling(16, 2, 10, 1, 4),
        new PpoSettings.Reward(
            KlController.adaptive(0.02, 6, 1000),
            algorithm.klUse() == KlUse.LOSS ? KlEstimator.K2 : KlEstimator.K1,
            algorithm.klUse(),
            ScoreSettings.of(ScoreSettings.Scaling.STANDARDIZE, 0.5),
            false,
            1,
            0.95),
        new PpoSettings.Update(
            2,
            2,
            0,
            1e-2,
            1e-2,
            new LossSettings(
                PpoLoss.Clip.DEFAULT, algorithm.ratio(), algorithm.averaging(), 0.1, 0),
            1,
            Double.POSITIVE_INFINITY),
        4,
        2,
        17);
  }
}
