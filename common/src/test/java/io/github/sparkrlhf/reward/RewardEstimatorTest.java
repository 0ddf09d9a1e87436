package io.github.sparkrlhf.reward;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.github.sparkrlhf.spark.JobFailure;
import io.github.sparkrlhf.spark.SparkTestSession;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import org.apache.spark.ml.Pipeline;
import org.apache.spark.ml.PipelineModel;
import org.apache.spark.ml.PipelineStage;
import org.apache.spark.ml.param.ParamMap;
import org.apache.spark.ml.tuning.CrossValidator;
import org.apache.spark.ml.tuning.CrossValidatorModel;
import org.apache.spark.ml.tuning.ParamGridBuilder;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Reward models as stages of Spark ML. */
class RewardEstimatorTest {
  private static final SparkSession SPARK = SparkTestSession.get();

  @TempDir private Path folder;

  /** People prefer the answer that says please. */
  private static Dataset<Row> pairs() {
    return SPARK
        .range(40)
        .coalesce(1)
        .selectExpr(
            "concat('question ', id) AS prompt",
            "concat('please take ', id, repeat(' so', int(id % 5))) AS chosen",
            "concat('take ', id, repeat(' so', int(id % 3)), '!') AS rejected",
            "IF(id % 10 = 0, 0.5D, 0.9D) AS probability");
  }

  @Test
  void worksInAPipelineAndSurvivesSaving() throws IOException {
    Dataset<Row> renamed =
        pairs().withColumnRenamed("chosen", "better").withColumnRenamed("prompt", "ask");
    RewardEstimator estimator = new RewardEstimator();
    estimator
        .with(estimator.kind(), "random-forest")
        .with(estimator.chosenCol(), "better")
        .with(estimator.promptCol(), "ask")
        .with(estimator.trees(), 5);
    Pipeline pipeline = new Pipeline().setStages(new PipelineStage[] {estimator});
    pipeline.save(uri("pipeline"));
    PipelineModel fitted = Pipeline.load(uri("pipeline")).fit(renamed);
    fitted.save(uri("fitted"));

    List<Row> scored = fitted.transform(renamed).collectAsList();

    assertThat(PipelineModel.load(uri("fitted")).transform(renamed).collectAsList())
        .isEqualTo(scored);
    assertThat(fitted.transform(renamed).columns())
        .containsExactly("ask", "better", "rejected", "probability", "score");
    RewardModelTransformer stage = (RewardModelTransformer) fitted.stages()[0];
    assertThat(stage.model().kind()).isEqualTo("random-forest");
    Row one =
        stage
            .transform(
                renamed.selectExpr("ask", "rejected AS response").where("ask = 'question 7'"))
            .first();
    double other =
        stage
            .model()
            .score(SPARK.sql("SELECT 'question 7' AS prompt, 'please take 7 so so' AS response"))
            .first()
            .getDouble(2);
    assertThat(scored.get(7).<Double>getAs("score"))
        .isCloseTo(other - one.<Double>getAs("score"), within(1e-12));
  }

  @Test
  void worksInACrossValidator() throws IOException {
    RewardEstimator estimator = new RewardEstimator();
    ParamMap[] grid =
        new ParamGridBuilder()
            .addGrid(estimator.regularization(), new double[] {1e4, 1e-3})
            .build();
    CrossValidatorModel validated =
        new CrossValidator()
            .setEstimator(estimator)
            .setEvaluator(new PairwiseAccuracyEvaluator())
            .setEstimatorParamMaps(grid)
            .setNumFolds(2)
            .setSeed(1)
            .fit(pairs());

    assertThat(validated.avgMetrics()).hasSize(2);
    assertThat(validated.avgMetrics()[1]).isGreaterThan(0.9);
    validated.save(uri("validated"));
    assertThat(
            CrossValidatorModel.load(uri("validated"))
                .bestModel()
                .transform(pairs())
                .collectAsList())
        .isEqualTo(validated.bestModel().transform(pairs()).collectAsList());
  }

  @Test
  void theEvaluatorCountsTiesOutAndEqualScoresHalf() {
    Dataset<Row> scored =
        SPARK.sql(
            "SELECT * FROM VALUES (0.9D, 1.0D), (0.9D, 0.0D), (0.9D, -1.0D), (0.2D, -1.0D),"
                + " (0.5D, -1.0D) AS t(probability, score)");

    assertThat(new PairwiseAccuracyEvaluator().evaluate(scored)).isCloseTo(2.5 / 4, within(1e-12));
    assertThat(new PairwiseAccuracyEvaluator().evaluate(scored.drop("probability")))
        .isCloseTo(1.5 / 5, within(1e-12));
  }

  @Test
  void whatItDoesNotOfferIsAUsageError() {
    RewardEstimator estimator = new RewardEstimator();
    estimator.with(estimator.kind(), "oracle");

    assertThatThrownBy(() -> estimator.fit(pairs()))
        .isInstanceOf(JobFailure.class)
        .hasMessageContaining("kind 'oracle' is none of [bradley-terry");
  }

  private String uri(String name) {
    return folder.resolve(name).toUri().toString();
  }
}
