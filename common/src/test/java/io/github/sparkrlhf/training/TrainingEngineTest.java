package io.github.sparkrlhf.training;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.github.sparkrlhf.lm.ParameterLayout;
import io.github.sparkrlhf.spark.JobFailure;
import io.github.sparkrlhf.spark.SparkTestSession;
import io.github.sparkrlhf.spark.StableHash;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.api.java.JavaSparkContext;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class TrainingEngineTest {
  private static final LaneSettings LANES = new LaneSettings(8, 2, 7);
  private static final int ROWS = 45;
  private static final ParameterLayout LAYOUT = SyntheticRows.CONFIG.layout();
  private static final float[] WEIGHTS = LAYOUT.initialWeights(3);
  private static final JavaSparkContext CONTEXT =
      JavaSparkContext.fromSparkContext(SparkTestSession.get().sparkContext());

  @ParameterizedTest
  @ValueSource(ints = {2, 4, 8})
  void aRoundGivesTheSameBitsOnAnyNumberOfPartitionsAndInAnyOrderOfRows(int parallelism) {
    try (TrainingEngine<TextExample> alone = engine(1, 1, LANES);
        TrainingEngine<TextExample> spread = engine(parallelism, 5, LANES)) {
      assertThat(alone.stepsPerEpoch()).isEqualTo(3);
      spread.exchangeThroughSpark();
      for (int step = 0; step < 3; step++) {
        TrainingEngine.Round expected = alone.round(WEIGHTS, 1, step, "test");
        TrainingEngine.Round found = spread.round(WEIGHTS, 1, step, "test");
        assertThat(found.sums()).isEqualTo(expected.sums());
        assertThat(found.gradient()).isEqualTo(expected.gradient());
        assertThat(GradientClipping.globalNorm(found.gradient(), 1e9)).isGreaterThan(0.01);
      }
      assertThat(spread.evaluate(WEIGHTS, "test")).isEqualTo(alone.evaluate(WEIGHTS, "test"));
    }
  }

  @Test
  void rowsThatTheDriverHoldsAreDealtInEqualNumbersWhateverTheirOrder() {
    List<TextExample> rows = new ArrayList<>(SyntheticRows.of(ROWS, 1));
    LaneSettings lanes = new LaneSettings(4, ROWS, 7);
    LanguageModelObjective objective = new LanguageModelObjective(SyntheticRows.CONFIG);
    TrainingEngine.RowFunction<TextExample, Integer> sizes =
        (weights, batch) -> Collections.nCopies(batch.size(), batch.size());
    try (TrainingEngine<TextExample> inOrder =
        new TrainingEngine<>(CONTEXT, rows, lanes, objective)) {
      Collections.reverse(rows);
      try (TrainingEngine<TextExample> reversed =
          new TrainingEngine<>(CONTEXT, rows, lanes, objective)) {
        assertThat(inOrder.map(WEIGHTS, 0, "test", sizes))
            .hasSize(ROWS)
            .allMatch(size -> size == ROWS / 4 || size == (ROWS + 3) / 4);
        assertThat(reversed.round(WEIGHTS, 0, 0, "test").gradient())
            .isEqualTo(inOrder.round(WEIGHTS, 0, 0, "test").gradient());
      }
    }
  }

  @Test
  void theGradientOfARoundIsThatOfTheWholeBatchOnOneReplica() {
    LanguageModelObjective objective = new LanguageModelObjective(SyntheticRows.CONFIG);
    float[] expected = new float[LAYOUT.size()];
    double[] sums = objective.compute(WEIGHTS, SyntheticRows.of(ROWS, 1), expected);
    try (TrainingEngine<TextExample> engine = engine(2, 3, new LaneSettings(4, 12, 7))) {
      assertThat(engine.stepsPerEpoch()).isEqualTo(1);
      TrainingEngine.Round round = engine.round(WEIGHTS, 0, 0, "test");
      assertThat(round.sums()[Objective.COUNT]).isEqualTo(sums[Objective.COUNT]);
      assertThat(loss(round)).isCloseTo(sums[Objective.LOSS] / sums[Objective.COUNT], within(1e-5));
      for (int i = 0; i < expected.length; i++) {
        double mean = expected[i] / sums[Objective.COUNT];
        assertThat((double) round.gradient()[i]).isCloseTo(mean, within(1e-6));
      }
      assertThat(GradientClipping.globalNorm(round.gradient(), 1e9)).isGreaterThan(0.01);
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {2, 3, 6})
  void accumulatedMicroBatchesGiveTheGradientOfOneAsLarge(int accumulate) {
    LaneSettings parts =
        new LaneSettings(2, 12 / accumulate, accumulate, 7, LaneSettings.Order.BY_LENGTH);
    try (TrainingEngine<TextExample> whole = engine(2, 3, new LaneSettings(2, 12, 7));
        TrainingEngine<TextExample> accumulating = engine(2, 3, parts)) {
      assertThat(accumulating.stepsPerEpoch()).isEqualTo(whole.stepsPerEpoch()).isEqualTo(2);
      for (int step = 0; step < 2; step++) {
        TrainingEngine.Round expected = whole.round(WEIGHTS, 1, step, "test");
        TrainingEngine.Round found = accumulating.round(WEIGHTS, 1, step, "test");
        assertThat(found.sums()[Objective.COUNT]).isEqualTo(expected.sums()[Objective.COUNT]);
        assertThat(loss(found)).isCloseTo(loss(expected), within(1e-5));
        assertThat(found.gradient()).containsExactly(expected.gradient(), within(1e-6f));
        assertThat(found.gradient()).as("the sum runs in parts").isNotEqualTo(expected.gradient());
        assertThat(found.volume().tokens()).isEqualTo(expected.volume().tokens());
        assertThat(found.volume().positions()).isLessThan(expected.volume().positions());
      }
    }
  }

  @Test
  void aRoundCountsItsTokensAndItsPadding() {
    try (TrainingEngine<TextExample> engine = engine(2, 3, new LaneSettings(4, 12, 7))) {
      Volume volume = engine.round(WEIGHTS, 0, 0, "test").volume();
      long positions = 0;
      for (Lane<TextExample> lane : dealt(4)) {
        List<TextExample> rows = lane.rows(0, 0, 1, LANES);
        positions +=
            (long) rows.size() * rows.stream().mapToInt(TextExample::length).max().orElse(0);
      }
      long tokens = SyntheticRows.of(ROWS, 1).stream().mapToLong(TextExample::length).sum();
      assertThat(volume).isEqualTo(new Volume(tokens, positions));
      assertThat(volume.paddingShare()).isEqualTo(1 - (double) tokens / positions);
    }
  }

  @Test
  void evaluationSumsTheLossOfAllRows() {
    double[] expected =
        new LanguageModelObjective(SyntheticRows.CONFIG)
            .compute(WEIGHTS, SyntheticRows.of(ROWS, 1), null);
    try (TrainingEngine<TextExample> engine = engine(2, 3, LANES)) {
      double[] sums = engine.evaluate(WEIGHTS, "test");
      assertThat(sums[Objective.COUNT]).isEqualTo(expected[Objective.COUNT]);
      assertThat(sums[Objective.LOSS]).isCloseTo(expected[Objective.LOSS], within(1e-2));
    }
  }

  @Test
  void mapSeesTheMicroBatchesOfTheEpochEachRowOnce() {
    try (TrainingEngine<TextExample> engine = engine(2, 3, LANES)) {
      List<String> batches =
          engine.map(
              WEIGHTS,
              2,
              "test",
              (weights, rows) -> {
                String batch = String.join(" ", rows.stream().map(TextExample::id).toList());
                return Collections.nCopies(rows.size(), batch);
              });
      assertThat(batches).hasSize(ROWS);
      List<String> planned = new ArrayList<>();
      for (Lane<TextExample> lane : dealt()) {
        for (int step = 0; step < engine.stepsPerEpoch(); step++) {
          List<TextExample> rows = lane.rows(2, step, engine.stepsPerEpoch(), LANES);
          String batch = String.join(" ", rows.stream().map(TextExample::id).toList());
          planned.addAll(Collections.nCopies(rows.size(), batch));
        }
      }
      assertThat(batches).containsExactlyInAnyOrderElementsOf(planned);
    }
  }

  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void aLossOrGradientThatIsNotFiniteStopsAndNamesTheRows(boolean inLoss) {
    try (TrainingEngine<TextExample> engine =
        new TrainingEngine<>(
            CONTEXT, rdd(3), new LaneSettings(2, 23, 7), new NaNAt("row-3", inLoss), 2)) {
      List<String> together =
          dealt(2).stream()
              .map(
                  lane ->
                      lane.rows(0, 0, 1, new LaneSettings(1, 1, 7)).stream()
                          .map(TextExample::id)
                          .toList())
              .filter(ids -> ids.contains("row-3"))
              .findAny()
              .orElseThrow();
      assertThatThrownBy(() -> engine.round(new float[2], 0, 0, "test"))
          .isInstanceOfSatisfying(
              JobFailure.class, e -> assertThat(e.kind()).isEqualTo(JobFailure.Kind.NOT_FINITE))
          .hasMessage(
              "Cannot train: loss or gradient is not a finite number for a micro-batch with the rows "
                  + together);
      assertThat(together.size()).isLessThan(ROWS);
      if (inLoss) {
        assertThatThrownBy(() -> engine.evaluate(new float[2], "test"))
            .hasMessageContaining("row-3");
      }
    }
  }

  @Test
  void noRowsAndRepeatedIdsAreRefused() {
    assertThatThrownBy(
            () ->
                new TrainingEngine<>(
                    CONTEXT,
                    CONTEXT.parallelize(List.<TextExample>of(), 2),
                    LANES,
                    new NaNAt("", true)))
        .isInstanceOf(JobFailure.class)
        .hasMessage("Cannot train: there are no rows");
    List<TextExample> twice = new ArrayList<>(SyntheticRows.of(9, 1));
    twice.addAll(SyntheticRows.of(1, 2));
    assertThatThrownBy(
            () ->
                new TrainingEngine<>(
                    CONTEXT, CONTEXT.parallelize(twice, 3), LANES, new NaNAt("", true)))
        .hasMessageContaining("Cannot train: the row id row-0 occurs more than once");
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 2, 3, 7, 8, 1000})
  void partitionsArePowersOfTwoWithinLanesAndParallelism(int parallelism) {
    int partitions = TrainingEngine.partitions(8, parallelism);
    assertThat(Integer.bitCount(partitions)).isEqualTo(1);
    assertThat(partitions).isLessThanOrEqualTo(Math.min(8, parallelism));
    assertThat(2 * partitions).isGreaterThan(Math.min(8, parallelism));
  }

  private static TrainingEngine<TextExample> engine(
      int parallelism, int inputPartitions, LaneSettings lanes) {
    return new TrainingEngine<>(
        CONTEXT,
        rdd(inputPartitions),
        lanes,
        new LanguageModelObjective(SyntheticRows.CONFIG),
        parallelism);
  }

  /** The rows in another order for each number of partitions. */
  private static JavaRDD<TextExample> rdd(int partitions) {
    List<TextExample> rows = new ArrayList<>(SyntheticRows.of(ROWS, 1));
    Collections.shuffle(rows, new Random(partitions));
    return CONTEXT.parallelize(rows, partitions);
  }

  private static List<Lane<TextExample>> dealt() {
    return dealt(LANES.lanes());
  }

  private static double loss(TrainingEngine.Round round) {
    return round.sums()[Objective.LOSS] / round.sums()[Objective.COUNT];
  }

  private static List<Lane<TextExample>> dealt(int laneCount) {
    List<Lane<TextExample>> lanes = new ArrayList<>();
    for (int number = 0; number < laneCount; number++) {
      int lane = number;
      lanes.add(
          new Lane<>(
              lane,
              SyntheticRows.of(ROWS, 1).stream()
                  .filter(row -> StableHash.lane(row.id(), laneCount) == lane)
                  .toList()));
    }
    return lanes;
  }

  /** A loss of 1 per row, but where a certain row takes part, a loss or a gradient of NaN. */
  private record NaNAt(String id, boolean inLoss) implements Objective<TextExample> {
    private static final long serialVersionUID = 1L;

    @Override
    public int parameterCount() {
      return 2;
    }

    @Override
    public double[] compute(float[] weights, List<TextExample> rows, float[] gradient) {
      boolean bad = rows.stream().anyMatch(row -> row.id().equals(id));
      if (gradient != null) {
        Arrays.fill(gradient, 0);
      }
      if (bad && !inLoss && gradient != null) {
        gradient[1] = Float.NEGATIVE_INFINITY;
      }
      return new double[] {bad && inLoss ? Double.NaN : rows.size(), rows.size()};
    }
  }
}
