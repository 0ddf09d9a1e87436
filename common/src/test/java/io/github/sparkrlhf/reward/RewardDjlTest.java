package io.github.sparkrlhf.reward;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import ai.djl.inference.Predictor;
import ai.djl.repository.zoo.Criteria;
import ai.djl.repository.zoo.ZooModel;
import ai.djl.translate.TranslateException;
import ai.djl.util.StringPair;
import io.github.sparkrlhf.lm.LanguageModel;
import io.github.sparkrlhf.lm.TestTokenizers;
import io.github.sparkrlhf.lm.TransformerConfig;
import io.github.sparkrlhf.spark.SparkTestSession;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A reward model's directory is a DJL model, as DJL's Spark extension loads it: by URL alone. */
class RewardDjlTest {
  @TempDir private Path folder;
  private Dataset<Row> texts;
  private List<Row> expected;

  @BeforeEach
  void savesAModelAndScoresTexts() {
    TransformerConfig config =
        TransformerConfig.llama(259, 32, 48, 2, 4, 24)
            .withHead(TransformerConfig.Head.SEQUENCE_CLASSIFICATION);
    LanguageModel model =
        new LanguageModel(config, config.layout().initialWeights(5), TestTokenizers.bytes());
    TransformerRewardModel reward = new TransformerRewardModel(model);
    reward.save(folder.resolve("reward"), Map.of());
    texts =
        SparkTestSession.get()
            .sql(
                "SELECT 'Say ' || id AS prompt, repeat('é\"', cast(id AS INT)) AS response FROM range(12)");
    expected = reward.score(texts).collectAsList();
    assertThat(expected.stream().map(row -> row.getDouble(2)).distinct().count()).isGreaterThan(8);
  }

  @Test
  void pairsOfTextsScoreTheSame() throws Exception {
    try (ZooModel<StringPair, float[]> model = criteria(StringPair.class).loadModel();
        Predictor<StringPair, float[]> predictor = model.newPredictor()) {
      for (Row row : expected) {
        float[] score = predictor.predict(new StringPair(row.getString(0), row.getString(1)));
        assertThat(score).hasSize(1);
        assertThat((double) score[0]).isCloseTo(row.getDouble(2), within(1e-5));
      }
    }
  }

  @Test
  void whatToJsonMakesOfAStructScoresTheSameInABatch() throws Exception {
    List<Row> inputs =
        texts.selectExpr("prompt", "to_json(struct(prompt, response))").collectAsList();
    try (ZooModel<String, float[]> model = criteria(String.class).loadModel();
        Predictor<String, float[]> predictor = model.newPredictor()) {
      List<float[]> scores =
          predictor.batchPredict(inputs.stream().map(row -> row.getString(1)).toList());
      for (int i = 0; i < inputs.size(); i++) {
        String prompt = inputs.get(i).getString(0);
        Row row =
            expected.stream().filter(each -> each.getString(0).equals(prompt)).findAny().get();
        assertThat((double) scores.get(i)[0]).isCloseTo(row.getDouble(2), within(1e-5));
      }
      assertThatThrownBy(() -> predictor.predict("{\"prompt\": \"p\"}"))
          .isInstanceOf(TranslateException.class)
          .hasRootCauseMessage(
              "Cannot score: the input is no JSON object with prompt and response");
    }
  }

  private <I> Criteria<I, float[]> criteria(Class<I> input) {
    return Criteria.builder()
        .setTypes(input, float[].class)
        .optEngine("PyTorch")
        .optModelUrls(
            folder.resolve("reward").toUri()
                + "?translatorFactory="
                + RewardTranslatorFactory.class.getName())
        .build();
  }
}
