package io.github.sparkrlhf.ppo;

import static io.github.sparkrlhf.ppo.TinyPpo.ADVANTAGES;
import static io.github.sparkrlhf.ppo.TinyPpo.CRITIC;
import static io.github.sparkrlhf.ppo.TinyPpo.KL;
import static io.github.sparkrlhf.ppo.TinyPpo.LOG_PROBABILITIES;
import static io.github.sparkrlhf.ppo.TinyPpo.POLICY;
import static io.github.sparkrlhf.ppo.TinyPpo.REFERENCE;
import static io.github.sparkrlhf.ppo.TinyPpo.RESPONSES;
import static io.github.sparkrlhf.ppo.TinyPpo.RESPONSE_TOKENS;
import static io.github.sparkrlhf.ppo.TinyPpo.RETURNS;
import static io.github.sparkrlhf.ppo.TinyPpo.REWARD;
import static io.github.sparkrlhf.ppo.TinyPpo.Recording;
import static io.github.sparkrlhf.ppo.TinyPpo.SCORE;
import static io.github.sparkrlhf.ppo.TinyPpo.SHARP;
import static io.github.sparkrlhf.ppo.TinyPpo.STOPPED;
import static io.github.sparkrlhf.ppo.TinyPpo.SmallLetters;
import static io.github.sparkrlhf.ppo.TinyPpo.TOKENIZER;
import static io.github.sparkrlhf.ppo.TinyPpo.VALUES;
import static io.github.sparkrlhf.ppo.TinyPpo.assertSame;
import static io.github.sparkrlhf.ppo.TinyPpo.prompts;
import static io.github.sparkrlhf.ppo.TinyPpo.settings;
import static io.github.sparkrlhf.ppo.TinyPpo.silent;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.github.sparkrlhf.lm.LanguageModel;
import io.github.sparkrlhf.lm.Lora;
import io.github.sparkrlhf.lm.ParameterLayout;
import io.github.sparkrlhf.lm.TokenizerFile;
import io.github.sparkrlhf.lm.TransformerConfig;
import io.github.sparkrlhf.spark.JobFailure;
import io.github.sparkrlhf.spark.SparkTestSession;
import io.github.sparkrlhf.training.Checkpoints;
import io.github.sparkrlhf.training.Trainables;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Optional;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.sql.Row;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

class PpoTrainerTest {
  private static final int ITERATIONS = 15;

  @TempDir Path directory;

  @Test
  void theScoreRisesAndEveryInvariantHolds() throws IOException {
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
    String page = Files.readString(PpoDetailsTest.PAGE);
    assertThat(recording.metrics.get(1).keySet()).allMatch(name -> page.contains("`" + name + "`"));
    assertThat(recording.metrics.get(ITERATIONS)).doesNotContainKey("loss/policy_avg");
  }

  @ParameterizedTest
  @EnumSource(value = Algorithm.class, names = "PPO", mode = EnumSource.Mode.EXCLUDE)
  void algorithmsWithoutCriticTrainThePolicyAlone(Algorithm algorithm) {
    Recording recording = new Recording(-1);
    PpoTrainer trainer =
        new PpoTrainer(
            SparkTestSession.get(), Trainables.all(POLICY), REWARD, settings(algorithm, 8));
    PpoTrainer.Result result =
        trainer.train(prompts(), checkpoints("run", trainer), recording, silent(8));
    double before = recording.metric(0, "objective/raw_scores");
    double after = recording.metric(8, "objective/raw_scores");
    assertThat(after).as("from %s", before).isGreaterThan(before + 0.3);
    assertThat(recording.metric(0, "objective/kl")).isZero();
    assertThat(recording.metric(8, "objective/kl")).isGreaterThan(0.01);
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
                    WatchdogSettings.QUIET,
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
  void aHeadOnThePolicysTrunkIsACriticAndResumesAsIfItHadNeverStopped() {
    Recording whole = new Recording(-1);
    PpoTrainer.Result uninterrupted = trainSharedTrunk("whole", 8, whole);
    double before = whole.metric(0, "objective/raw_scores");
    assertThat(whole.metric(8, "objective/raw_scores")).isGreaterThan(before + 0.5);
    assertThat(whole.metric(0, "objective/kl")).isZero();
    assertThat(whole.metric(7, "val/explained_variance"))
        .isGreaterThan(whole.metric(0, "val/explained_variance"));
    LanguageModel policy = uninterrupted.models().get(0);
    LanguageModel critic = uninterrupted.models().get(1);
    assertThat(policy.config()).isEqualTo(POLICY.config());
    assertThat(critic.config()).isEqualTo(CRITIC.config());
    String trunk = "model.embed_tokens.weight";
    int size = policy.config().layout().parameter(trunk).size();
    assertThat(Arrays.copyOf(critic.weights(), size))
        .isEqualTo(Arrays.copyOf(policy.weights(), size));

    Recording broken = new Recording(3);
    assertThatThrownBy(() -> trainSharedTrunk("broken", 8, broken)).hasMessage("pulled the plug");
    Recording resumed = new Recording(-1);
    resumed.rows.putAll(broken.rows);
    resumed.metrics.putAll(broken.metrics);
    PpoTrainer.Result result = trainSharedTrunk("broken", 8, resumed);
    assertSame(result, resumed, uninterrupted, whole);
  }

  @Test
  void warmUpOnASharedTrunkTrainsTheHeadAlone() {
    Recording recording = new Recording(-1);
    PpoTrainer trainer =
        new PpoTrainer(
            SparkTestSession.get(),
            sharedTrunk(),
            REWARD,
            settings(Algorithm.PPO, 2, 2, WatchdogSettings.QUIET));
    PpoTrainer.Result result =
        trainer.train(prompts(), checkpoints("run", trainer), recording, silent(2));
    assertThat(result.policy().weights()).isEqualTo(POLICY.weights());
    assertThat(result.trained()).isNotEqualTo(sharedTrunk().initial());
  }

  private static Trainables sharedTrunk() {
    return Trainables.all(POLICY.withHead(TransformerConfig.Head.CAUSAL_LM_AND_SCORE, 3));
  }

  private PpoTrainer.Result trainSharedTrunk(String name, int iterations, Recording recording) {
    PpoTrainer trainer = trainer(sharedTrunk(), iterations);
    return trainer.train(prompts(), checkpoints(name, trainer), recording, silent(iterations));
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
                    SparkTestSession.get(), Trainables.all(POLICY, critic), REWARD, settings(2)))
        .isInstanceOf(JobFailure.class)
        .hasMessageContaining("different tokenizers");
  }

  @Test
  void item20WarmUpLeavesThePolicyAsItIsAndItsFirstStepIsAFirstStep() {
    Recording recording = new Recording(-1);
    PpoTrainer trainer =
        new PpoTrainer(
            SparkTestSession.get(),
            Trainables.all(POLICY, CRITIC),
            REWARD,
            settings(Algorithm.PPO, 3, 2, WatchdogSettings.QUIET));
    PpoTrainer.Result result =
        trainer.train(prompts(), checkpoints("run", trainer), recording, silent(3));
    for (int iteration = 0; iteration < 3; iteration++) {
      assertThat(recording.metric(iteration, "objective/kl")).isZero();
      assertThat(recording.metric(iteration, "policy/gradient_norm")).isPositive();
      assertThat(recording.metric(iteration, "lr") == 0).isEqualTo(iteration < 2);
    }
    // Minibatches of later epochs have other shapes, and so other last bits.
    assertThat(recording.metric(0, "policy/approxkl_avg")).isCloseTo(0, within(1e-12));
    assertThat(recording.metric(1, "val/explained_variance"))
        .isNotEqualTo(recording.metric(0, "val/explained_variance"));
    assertThat(recording.metric(3, "objective/kl")).isPositive();
    assertThat(result.models().get(1).weights()).isNotEqualTo(CRITIC.weights());
  }

  @Test
  void item22TheEpochsEndBeforeAStepThatWouldGoOnTooFar() {
    PpoSettings sane = settings(Algorithm.REINFORCE_PLUS_PLUS, 1);
    PpoSettings.Update update = sane.update();
    PpoSettings careful =
        new PpoSettings(
            sane.algorithm(),
            1,
            sane.sampling(),
            sane.reward(),
            new PpoSettings.Update(
                update.epochs(),
                update.minibatches(),
                0,
                update.learningRate(),
                update.criticLearningRate(),
                update.loss(),
                update.maxGradientNorm(),
                1e-9),
            sane.watchdog(),
            sane.lanes(),
            1,
            sane.seed());
    Recording recording = new Recording(-1);
    PpoTrainer trainer =
        new PpoTrainer(SparkTestSession.get(), Trainables.all(POLICY), REWARD, careful);
    trainer.train(prompts(), checkpoints("run", trainer), recording, silent(1));
    assertThat(recording.metric(0, "update/steps")).isEqualTo(1);
  }

  @Test
  void severalRewardsAreWeightedAndShapingIsAddedToThem() {
    RewardSources sources =
        new RewardSources(
            List.of(
                new RewardSources.Weighted("letters", new SmallLetters(), 0.5),
                new RewardSources.Weighted("same", new SmallLetters(), -0.5)),
            Optional.empty(),
            List.of("tokens / 10", "if(stopped, 0.5D, 0)"));
    Recording recording = new Recording(-1);
    PpoTrainer trainer =
        new PpoTrainer(
            SparkTestSession.get(),
            Trainables.all(POLICY),
            sources,
            settings(Algorithm.REINFORCE_PLUS_PLUS, 1));
    trainer.train(prompts(), checkpoints("run", trainer), recording, silent(1));
    assertThat(recording.metric(0, "objective/raw_scores")).isZero();
    assertThat(recording.metric(0, "objective/raw_scores/letters"))
        .isEqualTo(recording.metric(0, "objective/raw_scores/same"))
        .isPositive();
    for (Row row : recording.rows.get(0)) {
      double tokens = ((Object[]) row.get(RESPONSE_TOKENS)).length / 10.0;
      double end = row.getBoolean(STOPPED) ? 0.5 : -0.5;
      assertThat(row.getDouble(SCORE)).isCloseTo(tokens + end, within(1e-9));
    }
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "lenght(response) | Cannot evaluate --shaping 'lenght(response)'",
        "rand() | it gives another value each time; the columns are prompt, response, tokens,",
        "sum(tokens) | it must give one value for each row",
        "response | Cannot evaluate --shaping 'response': it gives string, not a number"
      })
  void shapingThatIsNoNumberOfARowIsRefused(String sql, String message) {
    RewardSources sources = new RewardSources(REWARD.models(), Optional.empty(), List.of(sql));
    assertThatThrownBy(
            () ->
                new PpoTrainer(
                    SparkTestSession.get(),
                    Trainables.all(POLICY),
                    sources,
                    settings(Algorithm.RLOO, 1)))
        .isInstanceOfSatisfying(
            JobFailure.class, e -> assertThat(e.kind()).isEqualTo(JobFailure.Kind.USAGE))
        .hasMessageContaining(message);
  }

  @Test
  void shapingThatGivesNullNamesTheResponse() {
    RewardSources sources =
        new RewardSources(
            REWARD.models(), Optional.empty(), List.of("1", "if(sample = 1, null, 1) + tokens"));
    RewardSources withoutNumber =
        new RewardSources(
            REWARD.models(), Optional.empty(), List.of("1", "nullif(tokens, tokens) + 1"));
    assertThatThrownBy(() -> rloo(sources)).hasMessageContaining("sample");
    PpoTrainer trainer = rloo(withoutNumber);
    assertThatThrownBy(
            () ->
                trainer.train(prompts(), checkpoints("run", trainer), new Recording(-1), silent(1)))
        .isInstanceOf(JobFailure.class)
        .hasMessageMatching(
            "Cannot shape the reward of response prompt-.*-0: --shaping 'nullif.*' gives null");
  }

  private static PpoTrainer rloo(RewardSources sources) {
    return new PpoTrainer(
        SparkTestSession.get(), Trainables.all(POLICY), sources, settings(Algorithm.RLOO, 1));
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
    return new PpoTrainer(SparkTestSession.get(), networks, REWARD, settings(iterations));
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
    return TinyPpo.checkpoints(directory.resolve(name), trainer);
  }
}
