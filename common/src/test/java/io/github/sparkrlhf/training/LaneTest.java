package io.github.sparkrlhf.training;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.sparkrlhf.spark.JobFailure;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.List;
import java.util.Random;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.Positive;
import org.junit.jupiter.api.Test;

class LaneTest {
  @Property(tries = 200)
  void anEpochHoldsEachRowExactlyOnce(
      @ForAll @IntRange(max = 70) int rows,
      @ForAll @IntRange(min = 1, max = 20) int steps,
      @ForAll @Positive int epoch,
      @ForAll long seed) {
    Lane<TextExample> lane = new Lane<>(0, SyntheticRows.of(rows, 1));
    List<String> seen = new ArrayList<>();
    for (int step = 0; step < steps; step++) {
      List<String> ids = ids(lane.rows(epoch, step, steps, new LaneSettings(1, 1, seed)));
      assertThat(ids.size()).isBetween(rows / steps, (rows + steps - 1) / steps);
      seen.addAll(ids);
    }
    assertThat(seen)
        .containsExactlyInAnyOrderElementsOf(ids(SyntheticRows.of(rows, 1)))
        .hasSize(rows);
  }

  @Property(tries = 50)
  void thePlanDependsNeitherOnTheOrderOfTheRowsNorOnTheStepsAskedForBefore(
      @ForAll @IntRange(min = 1, max = 70) int rows,
      @ForAll @IntRange(min = 1, max = 20) int steps,
      @ForAll long seed) {
    List<TextExample> shuffled = new ArrayList<>(SyntheticRows.of(rows, 1));
    Collections.shuffle(shuffled, new Random(seed));
    Lane<TextExample> lane = new Lane<>(0, SyntheticRows.of(rows, 1));
    Lane<TextExample> other = new Lane<>(0, shuffled);
    List<List<String>> forwards = new ArrayList<>();
    for (int step = 0; step < steps; step++) {
      forwards.add(ids(lane.rows(3, step, steps, new LaneSettings(1, 1, seed))));
    }
    other.rows(2, 0, steps, new LaneSettings(1, 1, seed));
    for (int step = steps - 1; step >= 0; step--) {
      assertThat(ids(other.rows(3, step, steps, new LaneSettings(1, 1, seed))))
          .isEqualTo(forwards.get(step));
    }
  }

  @Property(tries = 100)
  void accumulationCutsTheRowsOfAStepIntoMicroBatchesByLength(
      @ForAll @IntRange(max = 70) int rows,
      @ForAll @IntRange(min = 1, max = 5) int steps,
      @ForAll @IntRange(min = 1, max = 9) int accumulate,
      @ForAll long seed) {
    Lane<TextExample> lane = new Lane<>(0, SyntheticRows.of(rows, 1));
    LaneSettings settings = new LaneSettings(1, 1, accumulate, seed, LaneSettings.Order.BY_LENGTH);
    for (int step = 0; step < steps; step++) {
      List<TextExample> whole = lane.rows(2, step, steps, settings);
      List<List<TextExample>> batches = lane.microBatches(2, step, steps, settings);
      List<TextExample> together = batches.stream().flatMap(List::stream).toList();
      assertThat(together).containsExactlyInAnyOrderElementsOf(whole);
      assertThat(accumulate > 1 ? together : List.<TextExample>of())
          .isSortedAccordingTo(Comparator.comparingInt(TextExample::length));
      assertThat(batches).hasSize(Math.min(accumulate, whole.size()));
      for (List<TextExample> batch : batches) {
        assertThat(batch.size())
            .isBetween(
                Math.max(1, whole.size() / accumulate),
                (whole.size() + accumulate - 1) / accumulate);
      }
    }
  }

  @Test
  void epochsAndSeedsGiveOtherMicroBatches() {
    Lane<TextExample> lane = new Lane<>(0, SyntheticRows.of(60, 1));
    List<String> first = ids(lane.rows(0, 0, 6, new LaneSettings(1, 1, 5)));
    assertThat(ids(lane.rows(1, 0, 6, new LaneSettings(1, 1, 5)))).isNotEqualTo(first);
    assertThat(ids(lane.rows(0, 0, 6, new LaneSettings(1, 1, 6)))).isNotEqualTo(first);
    assertThat(ids(lane.rows(0, 0, 6, new LaneSettings(1, 1, 5)))).isEqualTo(first);
  }

  @Test
  void refusesAnIdThatOccursTwice() {
    List<TextExample> rows = new ArrayList<>(SyntheticRows.of(9, 1));
    rows.add(new TextExample("row-4", new int[] {1}, new int[] {2}));
    assertThatThrownBy(() -> new Lane<>(0, rows))
        .isInstanceOf(JobFailure.class)
        .hasMessage("Cannot train: the row id row-4 occurs more than once");
  }

  @Test
  void rowsOfAMicroBatchAreOfSimilarLength() {
    Lane<TextExample> lane = new Lane<>(0, ofLengths(400, 0));
    int steps = 20;
    long padded = 0;
    long tokens = 0;
    for (int step = 0; step < steps; step++) {
      List<TextExample> batch = lane.rows(0, step, steps, new LaneSettings(1, 1, 1));
      padded += (long) batch.size() * batch.stream().mapToInt(TextExample::length).max().orElse(0);
      tokens += batch.stream().mapToInt(TextExample::length).sum();
    }
    // Batches of random rows would be padded to about twice their tokens.
    assertThat((double) padded / tokens).isLessThan(1.25);
  }

  @Test
  void aStepHasRowsOfAboutTheSameLengthInAllLanes() {
    Lane<TextExample> one = new Lane<>(0, ofLengths(400, 0));
    Lane<TextExample> other = new Lane<>(1, ofLengths(300, 1000));
    int steps = 10;
    List<Double> means = new ArrayList<>();
    for (int step = 0; step < steps; step++) {
      double mean = meanLength(one.rows(0, step, steps, new LaneSettings(1, 1, 1)));
      assertThat(meanLength(other.rows(0, step, steps, new LaneSettings(1, 1, 1))))
          .isBetween(mean - 12, mean + 12);
      means.add(mean);
    }
    assertThat(Collections.max(means) - Collections.min(means)).isGreaterThan(60);
    assertThat(means).isNotEqualTo(means.stream().sorted().toList());
  }

  /** Lengths spread evenly from 2 to 101 tokens. */
  private static List<TextExample> ofLengths(int count, int firstId) {
    List<TextExample> rows = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      rows.add(new TextExample("row-" + (firstId + i), new int[1], new int[1 + i % 100]));
    }
    return rows;
  }

  @Test
  void theLanesOfAStepHaveAboutAsManyTokens() {
    int steps = 20;
    long ofTheLargest = 0;
    long all = 0;
    for (int step = 0; step < steps; step++) {
      long largest = 0;
      for (int number = 0; number < 4; number++) {
        Lane<TextExample> lane = new Lane<>(number, ofLengths(400, 1000 * number));
        long tokens = Volume.of(lane.rows(0, step, steps, new LaneSettings(4, 20, 1))).tokens();
        largest = Math.max(largest, tokens);
        all += tokens;
      }
      ofTheLargest += largest;
    }
    // A round takes as long as its largest lane: of four random rows it has 30 % more than the
    // mean.
    assertThat(4.0 * ofTheLargest / all).isBetween(1.0, 1.1);
  }

  private static double meanLength(List<TextExample> rows) {
    return rows.stream().mapToInt(TextExample::length).average().orElseThrow();
  }

  private static List<String> ids(List<TextExample> rows) {
    return rows.stream().map(TextExample::id).toList();
  }
}
