package io.github.sparkrlhf.reward;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import ai.djl.ndarray.NDManager;
import io.github.sparkrlhf.lm.GradMode;
import io.github.sparkrlhf.lm.LanguageModel;
import io.github.sparkrlhf.lm.ReplicaPool;
import io.github.sparkrlhf.lm.SequenceBatch;
import io.github.sparkrlhf.lm.TestTokenizers;
import io.github.sparkrlhf.lm.Tokenizer;
import io.github.sparkrlhf.lm.TransformerConfig;
import io.github.sparkrlhf.spark.JobFailure;
import io.github.sparkrlhf.spark.SparkTestSession;
import io.github.sparkrlhf.training.TextExample;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class HiddenStatesTest {
  private static final TransformerConfig CONFIG =
      TransformerConfig.llama(259, 16, 24, 1, 2, 48)
          .withHead(TransformerConfig.Head.SEQUENCE_CLASSIFICATION);
  private static final LanguageModel MODEL =
      new LanguageModel(CONFIG, CONFIG.layout().initialWeights(5), TestTokenizers.bytes());

  @TempDir private Path folder;
  private Path directory;

  @BeforeEach
  void save() {
    directory = folder.resolve("lm");
    MODEL.save(directory, Map.of());
  }

  @Test
  void isTheMeanOverTheTokensOfTheResponse() {
    double[] state = HiddenStates.load(directory).of("What is it?", "A cat");

    // The head is linear: on the mean state it gives the mean of what it gives on each.
    assertThat(state).hasSize(16);
    assertThat(onHead(state)).isCloseTo(meanOutput("What is it?", "A cat"), within(1e-5));
  }

  @Test
  void ofAnEmptyResponseIsWhatTheRewardReads() {
    JavaSparkContext context =
        JavaSparkContext.fromSparkContext(SparkTestSession.get().sparkContext());
    double reward = new TransformerRewardModel(MODEL).scorer(context).score("Why?", "");

    assertThat(onHead(HiddenStates.load(directory).of("Why?", ""))).isCloseTo(reward, within(1e-5));
  }

  @Test
  void aModelThatReadsThemIsReadBackWithTheirLanguageModel() throws IOException {
    BradleyTerryModel model = fit("style*0.3,states*0.5");
    Path saved = folder.resolve("reward");
    model.save(saved, Map.of());

    assertThat(saved.resolve("states/model.safetensors"))
        .hasSameBinaryContentAs(directory.resolve("model.safetensors"));
    assertThat(RewardModels.load(saved))
        .isInstanceOfSatisfying(
            BradleyTerryModel.class,
            read -> assertThat(read.score("q", "good 7")).isEqualTo(model.score("q", "good 7")));
    assertThat(model.score("q", "good 7")).isGreaterThan(model.score("q", "bad 7"));

    Path json = saved.resolve("reward.json");
    Files.writeString(
        json,
        Files.readString(json)
            .replace("states:16", "states:15")
            .replaceFirst("\"state_15\",?", "")
            .replaceFirst("\"state_14\",\\s*]", "\"state_14\"]"));
    assertThatThrownBy(() -> RewardModels.load(saved))
        .isInstanceOf(JobFailure.class)
        .hasMessageContaining("Cannot read reward model in");
  }

  @Test
  void partitioningChangesNoBit() {
    BradleyTerryTrainer trainer = trainer("states");
    double alone = trainer.fit(pairs().coalesce(1)).score("q", "good 3");
    assertThat(trainer.fit(pairs().repartition(5)).score("q", "good 3")).isEqualTo(alone);
  }

  private BradleyTerryModel fit(String features) {
    return trainer(features).fit(pairs());
  }

  private BradleyTerryTrainer trainer(String features) {
    return new BradleyTerryTrainer()
        .setFeatures(FeatureBlock.parse(features))
        .setStates(HiddenStates.load(directory));
  }

  private static Dataset<Row> pairs() {
    SparkSession spark = SparkTestSession.get();
    return spark.sql(
        "SELECT 'pair-' || id AS pair_id, 'q' AS prompt, 'good ' || id AS chosen, 'bad ' || id AS rejected, 0.9D AS probability FROM range(40)");
  }

  private static double onHead(double[] state) {
    float[] weights = MODEL.weights();
    int head = weights.length - state.length;
    double sum = 0;
    for (int i = 0; i < state.length; i++) {
      sum += weights[head + i] * state[i];
    }
    return sum;
  }

  private static double meanOutput(String prompt, String response) {
    Tokenizer tokenizer = Tokenizer.of(MODEL.tokenizer());
    int[] read = RewardInput.tokens(tokenizer, prompt, response, CONFIG.maxPositions());
    int promptTokens = tokenizer.encodePrompt(prompt).length;
    // Positions are wanted by the token after them, so one more follows.
    int[] oneMore = TextExample.concatenated(read, new int[] {0});
    try (ReplicaPool.Lease lease = ReplicaPool.lease(CONFIG, MODEL.weights(), 0);
        GradMode ignored = GradMode.inference();
        NDManager manager = lease.replica().newManager()) {
      float[] outputs =
          SequenceBatch.predictingResponses(List.of(oneMore), new int[] {promptTokens + 1})
              .outputs(lease.replica(), manager, false)
              .toFloatArray();
      return Arrays.stream(toDoubles(outputs)).average().orElseThrow();
    }
  }

  private static double[] toDoubles(float[] numbers) {
    double[] doubles = new double[numbers.length];
    for (int i = 0; i < numbers.length; i++) {
      doubles[i] = numbers[i];
    }
    return doubles;
  }
}
