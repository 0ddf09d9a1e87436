package io.github.sparkrlhf.reward;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.github.sparkrlhf.spark.JobFailure;
import io.github.sparkrlhf.spark.SparkTestSession;
import io.github.sparkrlhf.training.LaneSettings;
import io.github.sparkrlhf.training.LearningRateSchedule;
import io.github.sparkrlhf.training.Trainer;
import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.ml.regression.GBTRegressor;
import org.apache.spark.ml.regression.RandomForestRegressor;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.functions;
import org.apache.spark.sql.types.StructType;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What is true of every kind that learns from response features. */
class RewardKindsTest {
  private static final SparkSession SPARK = SparkTestSession.get();
  private static final PrintStream SILENT =
      new PrintStream(OutputStream.nullOutputStream(), false, StandardCharsets.UTF_8);
  private static final StructType PAIRS =
      StructType.fromDDL(
          "pair_id STRING, prompt STRING, chosen STRING, rejected STRING, probability DOUBLE,"
              + " weight DOUBLE, split STRING");
  private static Dataset<Row> pairs;

  @BeforeAll
  static void make() {
    pairs = SPARK.createDataFrame(rows(120), PAIRS).cache();
  }

  /** People like answers of about nine words, and dislike exclamation marks. */
  private static List<Row> rows(int prompts) {
    List<Row> rows = new ArrayList<>();
    for (int i = 0; i < prompts; i++) {
      int[] lengths = {i % 18 + 1, (i * 7) % 18 + 1};
      int[] marks = {i % 3, (i * 5 + 1) % 3};
      double[] worth = new double[2];
      String[] texts = new String[2];
      for (int side = 0; side < 2; side++) {
        worth[side] = -Math.abs(lengths[side] - 9) - 2 * marks[side];
        texts[side] = "word ".repeat(lengths[side]) + i + "!".repeat(marks[side]);
      }
      int better = worth[0] >= worth[1] ? 0 : 1;
      rows.add(
          RowFactory.create(
              "p" + i,
              "question " + i,
              texts[better],
              texts[1 - better],
              worth[0] == worth[1] ? 0.5 : 0.9,
              1.0 + i % 2,
              i % 4 == 0 ? "test" : "train"));
    }
    return rows;
  }

  private static MlpTrainer mlp() {
    Trainer.Settings settings =
        new Trainer.Settings(30, 1e-2, 0.05, LearningRateSchedule.Decay.COSINE, 0.01, 1, 1000);
    return new MlpTrainer(
        List.of(8), 2, new LaneSettings(2, 16, 3, LaneSettings.Order.SHUFFLED), settings, SILENT);
  }

  private static RewardTrainer trainer(String kind) {
    return switch (kind) {
      case "random-forest" -> ForestTrainer.randomForest().setTrees(8).setBuckets(3).setSeed(1);
      case "gradient-boosted" ->
          ForestTrainer.gradientBoosted().setTrees(8).setStepSize(0.5).setSeed(1);
      case "mlp" -> mlp();
      case "ensemble" ->
          new EnsembleTrainer(
              List.of(new BradleyTerryTrainer(), trainer("random-forest"), mlp()),
              EnsembleModel.Rule.MEAN_MINUS_VARIANCE,
              0.1);
      default -> throw new IllegalArgumentException(kind);
    };
  }

  private static Dataset<Row> training() {
    return pairs.where("split = 'train'");
  }

  @ParameterizedTest
  @ValueSource(strings = {"random-forest", "gradient-boosted", "mlp", "ensemble"})
  void learnsComesBackAndIsTheSameBitsWhateverThePartitioning(
      String kind, @TempDir Path directory) {
    RewardModel model = trainer(kind).fit(training());
    Path saved = directory.resolve("model");
    model.save(saved, Map.of());

    assertThat(accuracy(model)).isGreaterThan(0.85);

    RewardModel loaded = RewardModels.load(saved);
    Dataset<Row> texts = pairs.withColumnRenamed("chosen", "response").drop("split");
    assertThat(loaded.kind()).isEqualTo(kind);
    assertThat(loaded.score(texts).collectAsList()).isEqualTo(model.score(texts).collectAsList());

    Dataset<Row> shuffled =
        training().repartition(5, functions.col("rejected")).orderBy(functions.desc("pair_id"));
    Path again = directory.resolve("again");
    trainer(kind).fit(shuffled).save(again, Map.of());
    for (Path file : files(saved)) {
      assertThat(again.resolve(saved.relativize(file).toString())).hasSameBinaryContentAs(file);
    }
  }

  private static double accuracy(RewardModel model) {
    return RewardEvaluation.metrics(model, "model", pairs.where("split = 'test'"))
        .where("metric = 'accuracy'")
        .first()
        .<Double>getAs("value");
  }

  private static List<Path> files(Path directory) {
    try (var below = Files.walk(directory)) {
      return below.filter(Files::isRegularFile).toList();
    } catch (IOException e) {
      throw new java.io.UncheckedIOException(e);
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"random-forest", "gradient-boosted"})
  void aForestPredictsWhatMllibDoes(String kind) {
    DenseFeatures features = new DenseFeatures(kind.equals("random-forest") ? 3 : 0);
    Dataset<Row> targets = ResponseTargets.winShares(training());
    Dataset<Row> examples = ForestTrainer.examples(targets, features).cache();
    var mllib =
        kind.equals("random-forest")
            ? new RandomForestRegressor()
                .setNumTrees(8)
                .setMaxDepth(ForestTrainer.DEFAULT_DEPTH_OF_RANDOM)
                .setMinInstancesPerNode(5)
                .setFeatureSubsetStrategy("onethird")
                .setWeightCol("weight")
                .setSeed(1)
                .fit(examples)
            : new GBTRegressor()
                .setMaxIter(8)
                .setMaxDepth(ForestTrainer.DEFAULT_DEPTH_OF_BOOSTED)
                .setMinInstancesPerNode(5)
                .setStepSize(0.5)
                .setWeightCol("weight")
                .setSeed(1)
                .fit(examples);

    ForestModel ours = (ForestModel) trainer(kind).fit(training());

    Dataset<Row> responses =
        pairs.selectExpr("prompt", "chosen AS response", "0D AS target", "1D AS weight");
    List<Row> expected =
        mllib
            .transform(ForestTrainer.examples(responses, features))
            .select("prediction")
            .collectAsList();
    List<Row> texts = responses.collectAsList();
    assertThat(texts).hasSize(120);
    for (int i = 0; i < texts.size(); i++) {
      assertThat(ours.score(texts.get(i).getString(0), texts.get(i).getString(1)))
          .isCloseTo(expected.get(i).getDouble(0), within(1e-6));
    }
    assertThat(ours.featureImportances().values().stream().mapToDouble(v -> v).sum())
        .isCloseTo(1, within(1e-5));
    assertThat(
            ours.featureImportances().get("log_words") + ours.featureImportances().get("log_chars"))
        .isGreaterThan(ours.featureImportances().get("digit_share"));
  }

  @Test
  void thresholdsInSinglePrecisionDecideTheSame() {
    for (float x : new float[] {0.1f, 1f / 3, 2.5f, -0.1f, 0, 1e-30f}) {
      for (double t :
          new double[] {x, Math.nextUp((double) x), Math.nextDown((double) x), x + 1e-9, x / 3}) {
        assertThat(x <= RegressionForest.notAbove(t)).isEqualTo(x <= t);
      }
    }
  }

  @Test
  void aWinShareIsTheWeightedMeanOverItsPairs() {
    Dataset<Row> three =
        SPARK.createDataFrame(
            List.of(
                RowFactory.create("1", "q", "a", "b", 0.9, 1.0, "train"),
                RowFactory.create("2", "q", "a", "c", 0.6, 3.0, "train"),
                RowFactory.create("3", "q", "b", "d", 0.5, 0.0, "train")),
            PAIRS);

    List<Row> shares = ResponseTargets.winShares(three).collectAsList();

    assertThat(shares).hasSize(3);
    assertThat(shares.get(0).getString(1)).isEqualTo("a");
    assertThat(shares.get(0).getDouble(2)).isCloseTo((0.9 + 3 * 0.6) / 4, within(1e-12));
    assertThat(shares.get(0).getDouble(3)).isEqualTo(4);
    assertThat(shares.get(1).getDouble(2)).isCloseTo(0.1, within(1e-12));
    assertThat(shares.get(2).getDouble(2)).isCloseTo(0.4, within(1e-12));
    assertThat(ResponseTargets.winShares(three.drop("weight")).collectAsList()).hasSize(4);
  }

  @Test
  void theNetworkOfDjlAndOfPlainLoopsAreOne() {
    MlpNetwork network = new MlpNetwork(3, List.of(5, 4));
    float[] weights = network.initialWeights(7);
    float[] features = {0.3f, -1.2f, 2};
    double output = network.predict(weights, features);
    List<ResponseExample> rows = List.of(new ResponseExample("r", features, 0.25f, 2));

    float[] gradient = new float[weights.length];
    double loss = network.loss(weights, rows, gradient);

    assertThat(loss).isCloseTo(2 * (output - 0.25) * (output - 0.25), within(1e-5));
    assertThat(network.loss(weights, rows, null)).isCloseTo(loss, within(1e-6));
    for (int i = 0; i < weights.length; i++) {
      float[] moved = weights.clone();
      moved[i] += 1e-3f;
      double up = network.predict(moved, features) - 0.25;
      moved[i] -= 2e-3f;
      double down = network.predict(moved, features) - 0.25;
      assertThat((double) gradient[i]).isCloseTo((up * up - down * down) / 1e-3, within(0.02));
    }
  }

  @Test
  void theRulesOfAnEnsembleAreWhatTheySay() {
    Dataset<Row> rows =
        SPARK.sql("SELECT 'q' AS prompt, explode(array('1', '4')) AS response").coalesce(1);
    List<EnsembleModel.Member> members =
        List.of(
            new EnsembleModel.Member(new Affine(1, 0), 1, 2),
            new EnsembleModel.Member(new Affine(-1, 3), 1, 1));

    // Standardised: (r − 1) / 2 and 2 − r, so 0 and 1 for r = 1, 1.5 and −2 for r = 4.
    assertThat(scores(new EnsembleModel(members, EnsembleModel.Rule.MEAN, 0), rows))
        .containsExactly(0.5, -0.25);
    assertThat(scores(new EnsembleModel(members, EnsembleModel.Rule.MINIMUM, 0), rows))
        .containsExactly(0.0, -2.0);
    assertThat(scores(new EnsembleModel(members, EnsembleModel.Rule.MEAN_MINUS_VARIANCE, 2), rows))
        .containsExactly(0.5 - 2 * 0.25, -0.25 - 2 * 1.75 * 1.75);
  }

  @Test
  void anEnsembleScoresSingleRowsAsItScoresTables() {
    Dataset<Row> rows =
        SPARK.sql("SELECT 'q' AS prompt, explode(array('1', '4')) AS response").coalesce(1);
    List<EnsembleModel.Member> members =
        List.of(
            new EnsembleModel.Member(new Affine(1, 0), 1, 2),
            new EnsembleModel.Member(new Affine(-1, 3), 1, 1));
    JavaSparkContext context = JavaSparkContext.fromSparkContext(SPARK.sparkContext());

    for (EnsembleModel.Rule rule : EnsembleModel.Rule.values()) {
      EnsembleModel ensemble = new EnsembleModel(members, rule, 2);
      TextScorer scorer = ensemble.scorer(context);
      assertThat(List.of(scorer.score("q", "1"), scorer.score("q", "4")))
          .as(rule.name())
          .isEqualTo(scores(ensemble, rows));
    }
  }

  private static List<Double> scores(RewardModel model, Dataset<Row> rows) {
    return model.score(rows).collectAsList().stream()
        .map(row -> row.<Double>getAs("score"))
        .toList();
  }

  @Test
  void damagedForestsAreRefused() {
    int[] roots = {0};
    float[] numbers = new float[3];
    assertThat(forest(roots, new int[] {0, -1, -1}, new int[] {2, 0, 0}).isSound(1)).isTrue();
    assertThat(forest(roots, new int[] {1, -1, -1}, new int[] {2, 0, 0}).isSound(1)).isFalse();
    assertThat(forest(roots, new int[] {0, -1, -1}, new int[] {0, 0, 0}).isSound(1)).isFalse();
    assertThat(forest(roots, new int[] {0, -1, -1}, new int[] {3, 0, 0}).isSound(1)).isFalse();
    assertThat(forest(new int[] {3}, new int[] {0, -1, -1}, new int[] {2, 0, 0}).isSound(1))
        .isFalse();
    assertThat(forest(roots, new int[] {-2, -1, -1}, new int[] {2, 0, 0}).isSound(1)).isFalse();
    numbers[1] = Float.NaN;
    assertThat(
            new RegressionForest(
                    roots, new int[] {0, -1, -1}, new float[3], new int[] {2, 0, 0}, numbers)
                .isSound(1))
        .isFalse();
  }

  private static RegressionForest forest(int[] roots, int[] feature, int[] skip) {
    return new RegressionForest(
        roots, feature, new float[feature.length], skip, new float[feature.length]);
  }

  @ParameterizedTest
  @ValueSource(strings = {"random-forest", "mlp"})
  void refusesToLearnFromNothing(String kind) {
    assertThatThrownBy(() -> trainer(kind).fit(pairs.where("split = 'none'")))
        .isInstanceOf(JobFailure.class)
        .hasMessageContaining("there is no pair");
  }

  /** The response's number, stretched and moved. */
  private record Affine(double slope, double intercept) implements RewardModel {
    @Override
    public String kind() {
      return "affine";
    }

    @Override
    public Dataset<Row> score(Dataset<Row> rows) {
      return rows.selectExpr("*", slope + "D * double(response) + " + intercept + "D AS score");
    }

    @Override
    public TextScorer scorer(JavaSparkContext context) {
      return (prompt, response) -> slope * Double.parseDouble(response) + intercept;
    }

    @Override
    public void save(Path directory, Map<String, Object> provenance) {
      throw new UnsupportedOperationException();
    }
  }
}
