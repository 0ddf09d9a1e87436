package io.github.sparkrlhf.reward;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.sparkrlhf.spark.JobFailure;
import io.github.sparkrlhf.spark.SparkTestSession;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.apache.spark.ml.Pipeline;
import org.apache.spark.ml.PipelineModel;
import org.apache.spark.ml.PipelineStage;
import org.apache.spark.ml.feature.HashingTF;
import org.apache.spark.ml.feature.SQLTransformer;
import org.apache.spark.ml.feature.Tokenizer;
import org.apache.spark.ml.regression.LinearRegression;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class PipelineRewardModelTest {
  private static final SparkSession SPARK = SparkTestSession.get();

  @TempDir private Path folder;

  @AfterEach
  void forgetAllowedClasses() {
    SparkSession.active().conf().unset(PipelineDirectory.ALLOWED_CLASSES);
  }

  private static Dataset<Row> rows() {
    return SPARK.sql(
        "SELECT 'q' AS prompt, explode(array('good answer', 'bad answer', 'good')) AS response");
  }

  /** Words of the response to a linear regression whose prediction is called score. */
  private Path words() throws IOException {
    Dataset<Row> rated = rows().selectExpr("*", "double(response LIKE 'good%') AS label");
    PipelineModel fitted =
        new Pipeline()
            .setStages(
                new PipelineStage[] {
                  new Tokenizer().setInputCol("response").setOutputCol("words"),
                  new HashingTF().setNumFeatures(16).setInputCol("words").setOutputCol("features"),
                  new LinearRegression().setRegParam(0.01).setPredictionCol("score")
                })
            .fit(rated);
    Path directory = folder.resolve("words");
    fitted.save(directory.toUri().toString());
    return directory;
  }

  @Test
  void scoresByThePipelineAndComesBack() throws IOException {
    RewardModel model = PipelineRewardModel.read(words());
    List<Row> scored = model.score(rows()).orderBy("response").collectAsList();

    assertThat(model.score(rows()).columns()).containsExactly("prompt", "response", "score");
    assertThat(scored.get(0).getString(1)).isEqualTo("bad answer");
    assertThat(scored.get(0).getDouble(2)).isLessThan(scored.get(1).getDouble(2) - 0.5);

    model.save(folder.resolve("model"), Map.of());
    RewardModel loaded = RewardModels.load(folder.resolve("model"));
    assertThat(loaded.kind()).isEqualTo("pipeline");
    assertThat(loaded.score(rows()).orderBy("response").collectAsList()).isEqualTo(scored);
  }

  @Test
  void sqlRunsOnlyIfTheUserNamesIt() throws IOException {
    Path directory = folder.resolve("sql");
    new SQLTransformer()
        .setStatement("SELECT *, length(response) AS score FROM __THIS__")
        .save(directory.toUri().toString());

    assertRefused(directory, "it runs the class 'org.apache.spark.ml.feature.SQLTransformer'");
    SparkSession.active()
        .conf()
        .set(
            PipelineDirectory.ALLOWED_CLASSES,
            "com.example., org.apache.spark.ml.feature.SQLTransformer");

    assertThat(PipelineRewardModel.read(directory).score(rows()).first().getDouble(2))
        .isEqualTo(11);
  }

  @Test
  void aStageOfAnotherClassIsRefusedWhereverItStands() throws IOException {
    Path directory = words();
    Path stages = directory.resolve("stages");
    Path stage;
    try (var all = Files.list(stages)) {
      stage = all.sorted().skip(1).findFirst().orElseThrow();
    }
    replace(
        stage.resolve("metadata/part-00000"),
        "org.apache.spark.ml.feature.HashingTF",
        "com.example.Evil");

    assertRefused(directory, "it runs the class 'com.example.Evil'");
  }

  @Test
  void metadataThatCouldMeanSomethingElseToSparkAreRefused() throws IOException {
    Path directory = words();
    Path metadata = directory.resolve("metadata/part-00000");
    String sound = Files.readString(metadata);

    Files.writeString(metadata, sound.replaceFirst("\\{", "{\"class\":\"com.example.Evil\","));
    assertRefused(directory, "is not JSON (Duplicate field 'class')");
    Files.writeString(metadata, "{\"class\":\"com.example.Evil\"}\n" + sound);
    assertRefused(directory, "is not one line of JSON");
    Files.writeString(metadata, sound.replaceFirst("tok_", "../../tok_"));
    assertRefused(directory, "a stage is named '../../tok_");
    Files.writeString(metadata, sound);
    Path second = Files.writeString(directory.resolve("metadata/part-00001"), sound);
    assertRefused(directory, "its metadata hold");
    Files.delete(second);
    Path link = Files.createSymbolicLink(directory.resolve("stages/9_x"), folder);
    assertRefused(directory, "is a link");
    Files.delete(link);
    assertRefused(folder, "Spark ML has saved nothing there");
  }

  @Test
  void aTransformerWithoutScoreIsRefused() {
    RewardModel model = new PipelineRewardModel(new Tokenizer().setInputCol("response"));

    assertThatThrownBy(() -> model.score(rows()))
        .isInstanceOf(JobFailure.class)
        .hasMessageContaining("it adds no number named score");
  }

  private static void replace(Path file, String from, String to) throws IOException {
    Files.writeString(file, Files.readString(file).replace(from, to));
  }

  private static void assertRefused(Path directory, String message) {
    assertThatThrownBy(() -> PipelineRewardModel.read(directory))
        .isInstanceOf(JobFailure.class)
        .hasMessageStartingWith("Cannot read pipeline")
        .hasMessageContaining(message);
  }
}
