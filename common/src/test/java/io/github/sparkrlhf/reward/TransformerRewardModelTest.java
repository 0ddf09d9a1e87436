package io.github.sparkrlhf.reward;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import ai.djl.ndarray.NDManager;
import io.github.sparkrlhf.lm.GradMode;
import io.github.sparkrlhf.lm.LanguageModel;
import io.github.sparkrlhf.lm.Replica;
import io.github.sparkrlhf.lm.SequenceBatch;
import io.github.sparkrlhf.lm.TestTokenizers;
import io.github.sparkrlhf.lm.Tokenizer;
import io.github.sparkrlhf.lm.TransformerConfig;
import io.github.sparkrlhf.spark.CounterRandom;
import io.github.sparkrlhf.spark.JobFailure;
import io.github.sparkrlhf.spark.SparkTestSession;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.types.StructType;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class TransformerRewardModelTest {
  private static final TransformerConfig CONFIG =
      TransformerConfig.llama(259, 32, 48, 2, 4, 48)
          .withHead(TransformerConfig.Head.SEQUENCE_CLASSIFICATION);
  private static final LanguageModel MODEL =
      new LanguageModel(CONFIG, CONFIG.layout().initialWeights(5), TestTokenizers.bytes());
  private static final int TEXTS = 150;

  @TempDir Path directory;

  @ParameterizedTest
  @ValueSource(ints = {2, 5, 40})
  void scoresDependNeitherOnPartitionsNorOnTheOrderOfRows(int partitions) {
    Map<String, Double> expected = scores(texts(), 1);
    List<Row> shuffled = texts();
    Collections.shuffle(shuffled, new Random(partitions));
    Map<String, Double> found = scores(shuffled, partitions);
    assertThat(found).isEqualTo(expected).hasSize(TEXTS + TEXTS / 3);
    assertThat(found.values().stream().distinct().count()).isGreaterThan(TEXTS * 9 / 10);
  }

  @Test
  void equalTextsHaveEqualScores() {
    Map<String, Double> scores = scores(texts(), 3);
    for (int i = 0; i < TEXTS; i += 3) {
      assertThat(scores.get("copy-" + i)).isEqualTo(scores.get("row-" + i));
    }
  }

  @Test
  void moreCopiesThanABatchHoldsHaveEqualScores() {
    List<Row> rows = new ArrayList<>();
    for (int i = 0; i < 100; i++) {
      rows.add(RowFactory.create("row-" + i, "the same", "text"));
    }
    rows.add(RowFactory.create("other", "the same", "words"));
    Map<String, Double> scores = scores(rows, 4);
    double other = scores.remove("other");
    assertThat(scores).hasSize(100);
    assertThat(scores.values().stream().distinct()).hasSize(1).doesNotContain(other);
  }

  @Test
  void aScoreIsTheHeadsOutputAtTheEndToken() {
    Map<String, Double> scores = scores(texts(), 2);
    Tokenizer tokenizer = Tokenizer.of(MODEL.tokenizer());
    try (Replica replica = new Replica(CONFIG);
        GradMode ignored = GradMode.inference();
        NDManager manager = replica.newManager()) {
      replica.load(MODEL.weights(), 0);
      for (Row row : texts().subList(0, 20)) {
        int[] tokens =
            RewardInput.tokens(
                tokenizer, row.getString(1), row.getString(2), CONFIG.maxPositions());
        assertThat(tokens[tokens.length - 1]).isEqualTo(tokenizer.eosId());
        double expected =
            SequenceBatch.atLastTokens(List.of(tokens)).outputs(replica, manager, false).getFloat();
        assertThat(scores.get(row.getString(0))).isCloseTo(expected, within(1e-4));
      }
    }
  }

  @Test
  void textsLongerThanTheModelAreCutAndNoRowsGiveNoScores() {
    List<Row> rows = List.of(RowFactory.create("long", "p".repeat(500), "r".repeat(500)));
    assertThat(scores(rows, 1)).containsOnlyKeys("long");
    assertThat(scores(List.of(), 1)).isEmpty();
  }

  @Test
  void aSavedModelScoresTheSame() {
    new TransformerRewardModel(MODEL).save(directory.resolve("reward"), Map.of("run_id", "r"));
    RewardModel loaded = RewardModels.load(directory.resolve("reward"));
    assertThat(loaded.kind()).isEqualTo("transformer");
    assertThat(byId(loaded.score(frame(texts(), 2)))).isEqualTo(scores(texts(), 2));
  }

  @Test
  void aLanguageModelIsNoRewardModel() {
    TransformerConfig config = CONFIG.withHead(TransformerConfig.Head.CAUSAL_LM);
    new LanguageModel(config, config.layout().initialWeights(5), TestTokenizers.bytes())
        .save(directory.resolve("policy"), Map.of());
    assertThatThrownBy(() -> RewardModels.load(directory.resolve("policy")))
        .isInstanceOfSatisfying(
            JobFailure.class, e -> assertThat(e.kind()).isEqualTo(JobFailure.Kind.USAGE))
        .hasMessageEndingWith("it is a language model without score");
  }

  /** Random texts of 1 to 60 characters; every third one twice. */
  private static List<Row> texts() {
    CounterRandom random = new CounterRandom(8, "reward model test");
    List<Row> rows = new ArrayList<>();
    for (int i = 0; i < TEXTS; i++) {
      String prompt = text(random, i, 0);
      String response = text(random, i, 1);
      rows.add(RowFactory.create("row-" + i, prompt, response));
      if (i % 3 == 0) {
        rows.add(RowFactory.create("copy-" + i, prompt, response));
      }
    }
    return rows;
  }

  private static String text(CounterRandom random, int row, int part) {
    StringBuilder text = new StringBuilder();
    int length = 1 + random.integer(30, row, part);
    for (int i = 0; i < length; i++) {
      text.append((char) ('a' + random.integer(26, row, part, i)));
    }
    return text.toString();
  }

  private static Map<String, Double> scores(List<Row> rows, int partitions) {
    return byId(new TransformerRewardModel(MODEL).score(frame(rows, partitions)));
  }

  private static Map<String, Double> byId(Dataset<Row> scored) {
    Map<String, Double> scores = new TreeMap<>();
    for (Row row : scored.collectAsList()) {
      assertThat(scores.put(row.getAs("id"), row.getAs("score"))).isNull();
    }
    return scores;
  }

  private static Dataset<Row> frame(List<Row> rows, int partitions) {
    return SparkTestSession.get()
        .createDataFrame(rows, StructType.fromDDL("id STRING, prompt STRING, response STRING"))
        .repartition(partitions);
  }
}
