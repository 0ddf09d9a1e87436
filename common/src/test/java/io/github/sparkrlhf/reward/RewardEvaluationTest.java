package io.github.sparkrlhf.reward;

import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.expr;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.github.sparkrlhf.spark.JobFailure;
import io.github.sparkrlhf.spark.SparkTestSession;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.StructType;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class RewardEvaluationTest {
  private static final SparkSession SPARK = SparkTestSession.get();

  /** Scores a response by the number of its words "good", whatever else it says. */
  private record CountsGood(double factor) implements RewardModel {
    @Override
    public String kind() {
      return "counts-good";
    }

    @Override
    public Dataset<Row> score(Dataset<Row> rows) {
      return rows.withColumn(
          SCORE, expr("double('" + factor + "') * (size(split(response, 'good', -1)) - 1)"));
    }

    @Override
    public void save(Path directory, Map<String, Object> provenance) {
      try {
        Files.createDirectories(directory);
        Files.writeString(directory.resolve("weights"), "");
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
    }
  }

  /** Pairs of which the chosen one is usually the better one, in two splits and two groups. */
  private static Dataset<Row> pairs(int number) {
    List<Row> rows = new ArrayList<>();
    for (int i = 0; i < number; i++) {
      String better = "good ".repeat(1 + i % 3) + i;
      String worse = "bad " + i;
      boolean right = i % 4 != 0;
      rows.add(
          RowFactory.create(
              "p" + i,
              "prompt " + i % 7,
              right ? better : worse,
              right ? worse : better,
              i % 10 == 0 ? 0.5 : 0.8,
              i % 10 != 0,
              0.75,
              4,
              0,
              "group " + i % 2,
              "log",
              i / 20 % 2 == 0 ? "test" : "validation"));
    }
    return SPARK.createDataFrame(
        rows,
        StructType.fromDDL(
            "pair_id STRING, prompt STRING, chosen STRING, rejected STRING, probability DOUBLE,"
                + " decided BOOLEAN, vote_share DOUBLE, votes INT, ties INT, group_key STRING,"
                + " source STRING, split STRING"));
  }

  /** For each pair three votes for chosen, one against, each pair in either displayed order. */
  private static Dataset<Row> comparisons(Dataset<Row> pairs) {
    List<Row> rows = new ArrayList<>();
    for (Row pair : pairs.collectAsList()) {
      String chosen = pair.getAs("chosen");
      String rejected = pair.getAs("rejected");
      boolean chosenShownFirst = pair.<String>getAs("pair_id").hashCode() % 3 != 0;
      for (int vote = 0; vote < 4; vote++) {
        boolean forChosen = vote < 3;
        boolean firstOfPairIsA = chosenShownFirst == (chosen.compareTo(rejected) < 0);
        rows.add(
            RowFactory.create(
                pair.getAs("pair_id"),
                "comparison",
                forChosen == chosenShownFirst ? "a" : "b",
                !firstOfPairIsA,
                "w" + vote));
      }
    }
    return SPARK.createDataFrame(
        rows,
        StructType.fromDDL(
            "pair_id STRING, kind STRING, choice STRING, swapped BOOLEAN, annotator_id STRING"));
  }

  private static Map<String, Row> overall(Dataset<Row> metrics, String split) {
    return metrics
        .where("slice = 'all'")
        .where(col("split").equalTo(split))
        .collectAsList()
        .stream()
        .collect(Collectors.toMap(row -> row.getAs("metric"), row -> row));
  }

  @Test
  void aModelThatIsTooSureIsCalibratedOnTheValidationSplit() {
    Dataset<Row> pairs = pairs(400);
    RewardEvaluation evaluation =
        RewardEvaluation.of(new CountsGood(5), "sure", pairs, comparisons(pairs));

    Map<String, Row> test = overall(evaluation.metrics(), "test");

    double before = test.get("ece").getAs("value");
    assertThat(before).isGreaterThan(0.2);
    assertThat(test.get("ece_temperature").<Double>getAs("value")).isLessThan(before / 2);
    assertThat(test.get("ece_isotonic").<Double>getAs("value")).isLessThan(before / 2);
    assertThat(test.get("log_loss_temperature").<Double>getAs("value"))
        .isLessThan(test.get("log_loss").getAs("value"));
    List<Row> bins =
        evaluation.reliability().where("split = 'test' AND method = 'temperature'").collectAsList();
    assertThat(bins.stream().mapToLong(bin -> bin.<Long>getAs("n")).sum()).isEqualTo(200);
    assertThat(evaluation.calibration().orElseThrow().pairs()).isEqualTo(200);
  }

  @Test
  void annotatorsAgreeAsOftenAsTheyVoteForWhatTheModelPrefers() {
    Dataset<Row> pairs = pairs(400);
    Map<String, Row> validation =
        overall(
            RewardEvaluation.of(new CountsGood(1), "good", pairs, comparisons(pairs)).metrics(),
            "validation");
    // The model is right about three of four pairs; three annotators vote for chosen, one never.
    assertThat(validation.get("annotator_minimum").<Double>getAs("value")).isEqualTo(0.25);
    assertThat(validation.get("annotator_median").<Double>getAs("value")).isEqualTo(0.75);
    assertThat(validation.get("annotator_maximum").<Long>getAs("n")).isEqualTo(4);
    assertThat(validation.get("vote_agreement").<Double>getAs("value")).isEqualTo(0.625);
    // A vote for chosen sees 2:1, a vote against sees 3:0.
    assertThat(validation.get("annotator_agreement").<Double>getAs("value")).isEqualTo(0.75);
  }

  @Test
  void neitherOrderNorPartitioningChangesABit() {
    Dataset<Row> pairs = pairs(200);
    Dataset<Row> votes = comparisons(pairs);
    RewardEvaluation first = RewardEvaluation.of(new CountsGood(2), "m", pairs, votes);
    RewardEvaluation second =
        RewardEvaluation.of(
            new CountsGood(2),
            "m",
            pairs.orderBy(col("chosen").desc()).repartition(5),
            votes.repartition(3));

    assertThat(second.metrics().collectAsList()).isEqualTo(first.metrics().collectAsList());
    assertThat(second.reliability().collectAsList()).isEqualTo(first.reliability().collectAsList());
  }

  @Test
  void trainIsMeasuredAsAWholeAndOtherSplitsBySlice() {
    Dataset<Row> pairs =
        pairs(400).withColumn("split", expr("IF(split = 'test', 'test', 'train')"));
    Dataset<Row> metrics = RewardEvaluation.of(new CountsGood(1), "m", pairs, null).metrics();

    assertThat(metrics.where("split = 'train'").select("slice").distinct().collectAsList())
        .containsExactly(RowFactory.create("all"));
    assertThat(
            metrics.where("split = 'test'").select("slice").distinct().collectAsList().stream()
                .map(row -> row.getString(0)))
        .containsExactlyInAnyOrder("all", "agreement", "group", "length_gap", "source");
    assertThat(metrics.where("metric LIKE '%isotonic'").isEmpty())
        .as("without the split validation there is no calibration")
        .isTrue();
  }

  @Test
  void aScoreThatIsNotANumberEndsTheEvaluation() {
    assertThatThrownBy(
            () -> RewardEvaluation.metrics(new CountsGood(Double.NaN), "broken", pairs(10)))
        .isInstanceOf(JobFailure.class)
        .hasMessageContaining("Cannot evaluate reward model broken: ")
        .hasMessageContaining("have a score that is not a number");
  }

  @Test
  void theCalibrationIsSavedWithTheModel(@TempDir Path folder) {
    Path directory = folder.resolve("model");
    Dataset<Row> pairs = pairs(100);
    Calibration calibration =
        RewardEvaluation.of(new CountsGood(1), "m", pairs, null).calibration().orElseThrow();

    RewardModels.save(new CountsGood(1), calibration, directory, Map.of("run_id", "r"));
    RewardModels.save(new CountsGood(1), calibration, directory, Map.of("run_id", "r"));

    assertThat(directory.resolve("weights")).exists();
    assertThat(directory.resolve("rlhf.json")).exists();
    assertThat(Calibration.load(directory).orElseThrow().temperature())
        .isEqualTo(calibration.temperature());
    assertThat(folder.toFile().list()).containsExactly("model");
  }

  @Test
  void twoHalvesThatLearnTheSameAgree() {
    List<Long> trainedOn = new ArrayList<>();
    RewardTrainer trainer =
        train -> {
          trainedOn.add(train.count());
          return new CountsGood(trainedOn.size());
        };
    Dataset<Row> pairs = pairs(400);

    Map<String, Row> metrics =
        overall(DisjointHalves.metrics(trainer, "m", pairs, pairs.where("split = 'test'")), "test");

    assertThat(metrics.get("half_agreement").<Double>getAs("value")).isEqualTo(1);
    assertThat(metrics.get("half_agreement").<Long>getAs("n")).isEqualTo(200);
    assertThat(metrics.get("half_accuracy_1").<Double>getAs("value"))
        .isEqualTo(metrics.get("half_accuracy_2").<Double>getAs("value"))
        .isCloseTo(0.75, within(0.05));
    assertThat(trainedOn).hasSize(2);
    assertThat(trainedOn.get(0) + trainedOn.get(1)).isEqualTo(400);
  }

  @Test
  void leaveOneOutOfASumOverWordsAddsUpAndWordsThatDoNotCountAddNothing() {
    Dataset<Row> texts =
        SPARK.createDataFrame(
            List.of(
                RowFactory.create("b", "q", "so good,  a\ngood day"),
                RowFactory.create("a", "q", "good")),
            StructType.fromDDL("row_id STRING, prompt STRING, response STRING"));

    List<LeaveOneOut.Contribution> words = LeaveOneOut.of(new CountsGood(2), texts);

    assertThat(words)
        .containsExactly(
            new LeaveOneOut.Contribution("a", 0, "good", 2),
            new LeaveOneOut.Contribution("b", 0, "so", 0),
            new LeaveOneOut.Contribution("b", 1, "good,", 2),
            new LeaveOneOut.Contribution("b", 2, "a", 0),
            new LeaveOneOut.Contribution("b", 3, "good", 2),
            new LeaveOneOut.Contribution("b", 4, "day", 0));
  }
}
