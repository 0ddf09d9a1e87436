package io.github.sparkrlhf.ppo;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.sparkrlhf.lm.LanguageModel;
import io.github.sparkrlhf.lm.ParameterLayout;
import io.github.sparkrlhf.lm.TestTokenizers;
import io.github.sparkrlhf.lm.Tokenizer;
import io.github.sparkrlhf.lm.TokenizerFile;
import io.github.sparkrlhf.lm.TransformerConfig;
import io.github.sparkrlhf.policy.RolloutSampler;
import io.github.sparkrlhf.reward.RewardModel;
import io.github.sparkrlhf.training.Checkpoints;
import io.github.sparkrlhf.training.Progress;
import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.functions;

/**
 * A training that takes seconds: a policy of some thousand weights that learns to write letters.
 */
final class TinyPpo {
  static final int RESPONSES = 32;

  // Columns of a rollout row.
  static final int RESPONSE_TOKENS = 7;
  static final int STOPPED = 8;
  static final int LOG_PROBABILITIES = 10;
  static final int REFERENCE = 11;
  static final int VALUES = 12;
  static final int ADVANTAGES = 14;
  static final int RETURNS = 15;
  static final int SCORE = 16;
  static final int KL = 17;

  static final TokenizerFile TOKENIZER = TestTokenizers.bytes();
  static final LanguageModel POLICY = model(TransformerConfig.Head.CAUSAL_LM, 1);
  static final LanguageModel CRITIC = model(TransformerConfig.Head.SEQUENCE_CLASSIFICATION, 2);

  /** A policy whose embedding, which adapters leave as it is, can tell tokens apart. */
  static final LanguageModel SHARP = sharp(POLICY);

  static final RewardSources REWARD = RewardSources.of(new SmallLetters());

  /** What a trainer told its recorder, iteration by iteration; a repeated one replaces. */
  static final class Recording implements PpoTrainer.Recorder {
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
      timeless.keySet().removeIf(IterationReport::isTiming);
      metrics.put(iteration, timeless);
    }

    double metric(int iteration, String name) {
      return metrics.get(iteration).get(name);
    }
  }

  /** One point for each small letter of the response. */
  record SmallLetters() implements RewardModel {
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

  static Progress silent(int iterations) {
    return new Progress(
        new PrintStream(OutputStream.nullOutputStream(), true, StandardCharsets.UTF_8),
        "ppo",
        iterations);
  }

  static List<RolloutSampler.Prompt> prompts() {
    Tokenizer tokenizer = Tokenizer.of(TOKENIZER);
    List<RolloutSampler.Prompt> prompts = new ArrayList<>();
    for (int i = 0; i < 24; i++) {
      String text = "say " + "a".repeat(i % 5) + i;
      prompts.add(new RolloutSampler.Prompt("prompt-" + i, text, tokenizer.encodePrompt(text)));
    }
    return prompts;
  }

  static LanguageModel model(TransformerConfig.Head head, long seed) {
    TransformerConfig config = TransformerConfig.llama(259, 32, 48, 2, 4, 64).withHead(head);
    return new LanguageModel(config, config.layout().initialWeights(seed), TOKENIZER);
  }

  static LanguageModel sharp(LanguageModel model) {
    float[] weights = model.weights().clone();
    ParameterLayout.Parameter embedding =
        model.config().layout().parameter("model.embed_tokens.weight");
    for (int i = 0; i < embedding.size(); i++) {
      weights[embedding.offset() + i] *= 10;
    }
    return model.withWeights(weights);
  }

  static PpoSettings settings(int iterations) {
    return settings(Algorithm.PPO, iterations);
  }

  static PpoSettings settings(Algorithm algorithm, int iterations) {
    return settings(algorithm, iterations, 0, WatchdogSettings.QUIET);
  }

  static PpoSettings settings(
      Algorithm algorithm, int iterations, int criticWarmup, WatchdogSettings watchdog) {
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
            criticWarmup,
            1e-2,
            1e-2,
            new LossSettings(
                PpoLoss.Clip.DEFAULT, algorithm.ratio(), algorithm.averaging(), 0.1, 0),
            1,
            Double.POSITIVE_INFINITY),
        watchdog,
        4,
        2,
        17);
  }

  static void assertSame(
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
  static List<Object> values(Row row) {
    List<Object> values = new ArrayList<>();
    for (int i = 0; i < row.size(); i++) {
      values.add(row.get(i) instanceof Object[] array ? List.of(array) : row.get(i));
    }
    return values;
  }

  /** Checkpoints of a training with these networks below a directory. */
  static Checkpoints checkpoints(Path parent, PpoTrainer trainer) {
    return new Checkpoints(parent, "digest", trainer.parameterLayout(), Checkpoints.DEFAULT_KEPT);
  }

  private TinyPpo() {}
}
