package io.github.sparkrlhf.reward;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.github.sparkrlhf.lm.LanguageModel;
import io.github.sparkrlhf.lm.TestTokenizers;
import io.github.sparkrlhf.lm.TransformerConfig;
import io.github.sparkrlhf.spark.JobFailure;
import io.github.sparkrlhf.spark.SparkTestSession;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class RewardExtensionTest {
  @TempDir private static Path folder;
  private static RewardModel transformer;
  private static RewardModel linear;

  @BeforeAll
  static void savesModels() {
    TransformerConfig config =
        TransformerConfig.llama(259, 32, 48, 2, 4, 24)
            .withHead(TransformerConfig.Head.SEQUENCE_CLASSIFICATION);
    transformer =
        new TransformerRewardModel(
            new LanguageModel(config, config.layout().initialWeights(5), TestTokenizers.bytes()));
    transformer.save(folder.resolve("transformer"), Map.of());
    TextFeatures.Settings settings =
        new TextFeatures.Settings(FeatureBlock.parse("style,words:1-2"), 16);
    float[] zeros = new float[settings.firstBucket()];
    float[] ones = new float[settings.firstBucket()];
    Arrays.fill(ones, 1);
    float[] idf = new float[settings.size() - settings.firstBucket()];
    Arrays.fill(idf, 1);
    TextFeatures features = new TextFeatures(settings, new TextFeatures.Scaling(zeros, ones, idf));
    float[] weights = new float[features.size()];
    for (int i = 0; i < weights.length; i++) {
      weights[i] = i % 5 - 2f;
    }
    linear = new BradleyTerryModel(features, HiddenStates.NONE, weights);
    linear.save(folder.resolve("linear"), Map.of());
  }

  @Test
  void everyKindIsAFunctionOfPromptAndResponse() {
    for (RewardModel model : List.of(transformer, linear)) {
      String directory = folder.resolve(model == linear ? "linear" : "transformer").toString();
      List<Row> found =
          texts(session())
              .selectExpr("id", "reward(prompt, response, '" + directory + "') AS score")
              .orderBy("id")
              .collectAsList();
      List<Row> expected = model.score(texts(session())).orderBy("id").collectAsList();
      assertThat(expected).hasSize(20);
      for (int i = 0; i < 20; i++) {
        assertThat(found.get(i).<Double>getAs("score"))
            .isCloseTo(expected.get(i).<Double>getAs("score"), within(1e-5));
      }
    }
  }

  @Test
  void aSettingOfTheSessionNamesTheModel() {
    SparkSession session = session();
    session.sql("SET " + RewardExtension.MODEL + " = " + folder.resolve("linear"));
    Row row = session.sql("SELECT reward('p', 'r'), reward('p', null)").first();
    assertThat(row.getDouble(0)).isEqualTo(((BradleyTerryModel) linear).score("p", "r"));
    assertThat(row.isNullAt(1)).isTrue();
  }

  @Test
  void whatIsMissingIsSaid() {
    assertFails("reward('p', 'r')", "SET spark.rlhf.reward.model = DIR");
    assertFails("reward('p')", "it takes a prompt, a response and");
    assertFails("reward('p', 'r', 'nowhere')", "Cannot read model nowhere");
    assertFails("reward('p', 'r', uuid())", "must be a constant text");
  }

  private static void assertFails(String expression, String message) {
    SparkSession session = session();
    assertThatThrownBy(() -> session.sql("SELECT " + expression))
        .isInstanceOf(JobFailure.class)
        .hasMessageContaining(message);
  }

  private static SparkSession session() {
    return SparkTestSession.get().newSession();
  }

  private static Dataset<Row> texts(SparkSession session) {
    return session.sql(
        "SELECT id, 'Say ' || id AS prompt, repeat('so ', cast(id % 4 AS INT)) || id AS response FROM range(20)");
  }
}
