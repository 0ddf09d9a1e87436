package io.github.sparkrlhf.reward;

import static org.apache.spark.sql.functions.avg;
import static org.apache.spark.sql.functions.col;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.github.sparkrlhf.feedback.SimulatedLog;
import io.github.sparkrlhf.spark.JobFailure;
import io.github.sparkrlhf.spark.SparkTestSession;
import io.github.sparkrlhf.spark.StableHash;
import io.github.sparkrlhf.tables.Table;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.StructType;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class BradleyTerryTest {
  private static final SparkSession SPARK = SparkTestSession.get();
  private static Dataset<Row> pairs;
  private static BradleyTerryModel model;

  @BeforeAll
  static void fit() {
    pairs = simulatedPairs(new SimulatedLog(SPARK, 5, 6000)).cache();
    model = new BradleyTerryTrainer().fit(training(pairs));
  }

  /** Sound votes, aggregated per pair; the split by prompt. */
  private static Dataset<Row> simulatedPairs(SimulatedLog log) {
    return log.events()
        .dropDuplicates("event_id")
        .where("choice <> 'c' AND response_a <> response_b AND trim(response_a) <> ''")
        .selectExpr(
            "prompt",
            "least(response_a, response_b) AS low",
            "greatest(response_a, response_b) AS high",
            "CASE WHEN choice = 'tie' THEN 0.5 WHEN (choice = 'a') = (response_a < response_b)"
                + " THEN 1.0 ELSE 0.0 END AS vote")
        .groupBy("prompt", "low", "high")
        .agg(avg("vote").cast("double").as("share"))
        .selectExpr(
            "hex(xxhash64(prompt, low, high)) AS pair_id",
            "prompt",
            "IF(share >= 0.5, low, high) AS chosen",
            "IF(share >= 0.5, high, low) AS rejected",
            "greatest(share, 1 - share) AS probability",
            "IF(pmod(xxhash64(prompt), 5) = 0, 'test', 'train') AS split");
  }

  private static Dataset<Row> training(Dataset<Row> pairs) {
    return pairs.where("split = 'train'");
  }

  @Test
  void comesCloseToWhatTheGoldRewardReaches() {
    Map<String, Row> metrics =
        RewardEvaluation.metrics(model, "linear", pairs.where("split = 'test'"))
            .collectAsList()
            .stream()
            .collect(Collectors.toMap(row -> row.getAs("metric"), row -> row));
    double ceiling = SimulatedLog.ceiling(pairs.where("split = 'test'"));

    Row accuracy = metrics.get(RewardEvaluation.ACCURACY);
    assertThat(accuracy.<Double>getAs("value")).isBetween(ceiling - 0.09, ceiling + 0.03);
    assertThat(accuracy.<Double>getAs("low")).isLessThan(accuracy.<Double>getAs("value"));
    assertThat(metrics.get(RewardEvaluation.ACCURACY_ALWAYS_LONGER).<Double>getAs("value"))
        .isLessThan(accuracy.<Double>getAs("low"));
    assertThat(metrics.get(RewardEvaluation.LOG_LOSS).<Double>getAs("value"))
        .isLessThan(Math.log(2));
  }

  @Test
  void fitsTheSameBitsWhateverTheOrderAndPartitioning(@TempDir Path directory) throws IOException {
    Dataset<Row> shuffled = training(pairs).repartition(7).orderBy(col("rejected"));
    new BradleyTerryTrainer().fit(shuffled).save(directory.resolve("again"), Map.of());
    model.save(directory.resolve("first"), Map.of());

    assertThat(directory.resolve("again/model.safetensors"))
        .hasSameBinaryContentAs(directory.resolve("first/model.safetensors"));
  }

  @Test
  void fitsTheSameBitsToTextsThatWerePrepared(@TempDir Path directory) throws IOException {
    BradleyTerryTrainer trainer = new BradleyTerryTrainer();
    trainer
        .fit(training(trainer.prepare(pairs)).repartition(3))
        .save(directory.resolve("prepared"), Map.of());
    model.save(directory.resolve("first"), Map.of());

    assertThat(directory.resolve("prepared/model.safetensors"))
        .hasSameBinaryContentAs(directory.resolve("first/model.safetensors"));
  }

  @Test
  void readsTheFeaturesThatItIsTold(@TempDir Path directory) {
    Dataset<Row> few = training(pairs).limit(200).cache();
    Row pair = few.first();
    String prompt = pair.getAs("prompt");
    String chosen = pair.getAs("chosen");
    for (String features : List.of("words:1-1", "style", "discourse*0.5,curves,characters:2-3*3")) {
      BradleyTerryModel fitted =
          new BradleyTerryTrainer().setFeatures(FeatureBlock.parse(features)).fit(few);
      Path saved = directory.resolve(features.replaceAll("[^a-z]", ""));
      fitted.save(saved, Map.of());

      BradleyTerryModel loaded = (BradleyTerryModel) RewardModels.load(saved);

      assertThat(loaded.score(prompt, chosen)).isNotZero().isEqualTo(fitted.score(prompt, chosen));
    }
  }

  @Test
  void aPairCountsByItsWeightIfTold() {
    Dataset<Row> contradictory =
        SPARK.createDataFrame(
            List.of(
                RowFactory.create("1", "q", "good", "bad", 1.0, 0.75),
                RowFactory.create("2", "q", "bad", "good", 1.0, 0.25)),
            StructType.fromDDL(
                "pair_id STRING, prompt STRING, chosen STRING, rejected STRING,"
                    + " probability DOUBLE, weight DOUBLE"));
    BradleyTerryTrainer trainer = new BradleyTerryTrainer().setRegularization(1e-6);

    BradleyTerryModel equal = trainer.fit(contradictory);
    BradleyTerryModel weighted = trainer.setWeighted(true).fit(contradictory);

    assertThat(equal.score("q", "good") - equal.score("q", "bad")).isCloseTo(0, within(0.01));
    assertThat(weighted.score("q", "good") - weighted.score("q", "bad"))
        .isCloseTo(Math.log(3), within(0.01));
  }

  @Test
  void survivesSavingAndLoading(@TempDir Path directory) {
    Path saved = directory.resolve("models/linear");
    model.save(saved, Map.of());

    RewardModel loaded = RewardModels.load(saved);

    Dataset<Row> rows = pairs.withColumnRenamed("chosen", "response").limit(50).cache();
    assertThat(loaded.kind()).isEqualTo("bradley-terry");
    assertThat(loaded.score(rows).collectAsList()).isEqualTo(model.score(rows).collectAsList());
    Row row = model.score(rows).first();
    assertThat(row.<Double>getAs("score"))
        .isEqualTo(model.score(row.getAs("prompt"), row.<String>getAs("response")));
    assertThatThrownBy(() -> model.save(saved, Map.of())).isInstanceOf(JobFailure.class);
  }

  @Test
  void splitVotesPullTheOddsToTheirShare() {
    Dataset<Row> split =
        SPARK.createDataFrame(
            List.of(
                RowFactory.create("1", "q", "good", "bad", 0.75),
                RowFactory.create("2", "q", "left", "right", 0.5)),
            StructType.fromDDL(
                "pair_id STRING, prompt STRING, chosen STRING, rejected STRING,"
                    + " probability DOUBLE"));

    BradleyTerryModel fitted = new BradleyTerryTrainer().setRegularization(1e-6).fit(split);

    assertThat(fitted.score("q", "good") - fitted.score("q", "bad"))
        .isCloseTo(Math.log(3), within(0.01));
    assertThat(fitted.score("q", "left") - fitted.score("q", "right")).isCloseTo(0, within(0.01));
  }

  @Test
  void evaluationCountsEqualScoresHalfAndLeavesTiesOut() {
    Dataset<Row> four =
        SPARK.createDataFrame(
            List.of(
                RowFactory.create("1", "q", "xx", "x", 1.0, "test"),
                RowFactory.create("2", "q", "x", "xxx", 0.75, "test"),
                RowFactory.create("3", "q", "a", "b", 1.0, "test"),
                RowFactory.create("4", "q", "xxxx", "x", 0.5, "train")),
            StructType.fromDDL(
                "pair_id STRING, prompt STRING, chosen STRING, rejected STRING,"
                    + " probability DOUBLE, split STRING"));

    Map<String, Row> metrics =
        RewardEvaluation.metrics(new Length(), "length", four).collectAsList().stream()
            .collect(
                Collectors.toMap(
                    row -> row.getAs("split") + "/" + row.getAs("metric"), row -> row));

    assertThat(metrics.get("test/accuracy").<Double>getAs("value")).isEqualTo(0.5);
    assertThat(metrics.get("test/accuracy").<Long>getAs("n")).isEqualTo(3);
    assertThat(metrics.get("test/accuracy_always_longer").<Double>getAs("value")).isEqualTo(0.5);
    double loss = softplus(-1) + (0.75 * softplus(2) + 0.25 * softplus(-2)) + Math.log(2);
    assertThat(metrics.get("test/log_loss").<Double>getAs("value"))
        .isCloseTo(loss / 3, within(1e-9));
    assertThat(metrics).containsKey("train/log_loss").doesNotContainKey("train/accuracy");
  }

  @Test
  void evaluationHasTheColumnsOfItsTable() {
    List<String> columns = Arrays.asList(Table.REWARD_METRICS.schema().fieldNames());

    assertThat(RewardEvaluation.metrics(new Length(), "length", pairs.limit(3)).columns())
        .containsExactlyElementsOf(columns.subList(1, columns.size()));
  }

  @Test
  void weightsAreToldInTheWordsBehindThem() {
    List<FeatureWeight> weights =
        model.featureWeights(pairs.withColumnRenamed("chosen", "response"), 200);

    assertThat(weights).hasSize(200);
    assertThat(weights)
        .isSortedAccordingTo(Comparator.comparingDouble(each -> -Math.abs(each.weight())));
    BradleyTerryModel style =
        new BradleyTerryTrainer()
            .setFeatures(FeatureBlock.parse("style"))
            .fit(training(pairs).limit(200));
    assertThat(style.featureWeights(pairs.withColumnRenamed("chosen", "response"), 200))
        .hasSize(TextStyle.NAMES.size())
        .extracting(FeatureWeight::feature)
        .contains("log_words");
    FeatureWeight bucket =
        weights.stream().filter(each -> !each.terms().isEmpty()).findFirst().orElseThrow();
    String term = bucket.terms().get(0).replaceFirst(" \\(\\d+\\)$", "").replace(" × ", "\n");
    long hash = Math.floorMod(StableHash.of(term), (long) BradleyTerryTrainer.DEFAULT_BUCKETS);
    assertThat(bucket.feature()).matches("(words|crossings):bucket_" + hash);
  }

  @Test
  void featuresAreNamedByTheirPlace() {
    TextFeatures.Settings settings =
        new TextFeatures.Settings(FeatureBlock.parse("style,curves,words:1-1,crossings:2"), 10);
    int numbers = TextStyle.NAMES.size();

    assertThat(settings.size()).isEqualTo(8 * numbers + 20);
    assertThat(settings.name(1)).isEqualTo("log_words");
    assertThat(settings.name(numbers + 7 + 2)).isEqualTo("log_words:knot_2");
    assertThat(settings.name(8 * numbers + 9)).isEqualTo("words:bucket_9");
    assertThat(settings.name(8 * numbers + 11)).isEqualTo("crossings:bucket_1");
  }

  @Test
  void loadingNamesWhatIsWrong(@TempDir Path directory) throws IOException {
    assertFails(directory, "there is no reward.json");
    Files.writeString(directory.resolve("reward.json"), "{\"kind\": \"oracle\"}");
    assertFails(directory, "its kind 'oracle' is none of [bradley-terry");
    Files.writeString(
        directory.resolve("reward.json"), "{\"kind\": \"bradley-terry\", \"format\": 2}");
    assertFails(directory, "its format is 2");
    Files.writeString(
        directory.resolve("reward.json"), "{\"kind\": \"bradley-terry\", \"format\": 1}");
    assertFails(directory, "its features are not those of this version");
    Files.writeString(directory.resolve("reward.json"), "?");
    assertFails(directory, "is not JSON");
  }

  @Test
  void refusesToLearnFromNothing() {
    assertThatThrownBy(() -> new BradleyTerryTrainer().fit(pairs.where("split = 'none'")))
        .isInstanceOf(JobFailure.class)
        .hasMessageContaining("there is no pair");
  }

  private static void assertFails(Path directory, String message) {
    assertThatThrownBy(() -> RewardModels.load(directory))
        .isInstanceOf(JobFailure.class)
        .hasMessageStartingWith("Cannot read ")
        .hasMessageContaining(message);
  }

  private static double softplus(double x) {
    return Math.log1p(Math.exp(x));
  }

  /** The length of the response. */
  private static final class Length implements RewardModel {
    @Override
    public String kind() {
      return "length";
    }

    @Override
    public Dataset<Row> score(Dataset<Row> rows) {
      return rows.selectExpr("*", "double(length(response)) AS score");
    }

    @Override
    public void save(Path directory, Map<String, Object> provenance) {
      throw new UnsupportedOperationException();
    }
  }
}
