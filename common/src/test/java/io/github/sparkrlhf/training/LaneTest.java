package io.github.sparkrlhf.training;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.sparkrlhf.spark.JobFailure;
import java.util.ArrayList;
import java.util.Collections;
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
      List<String> ids = ids(lane.microBatch(epoch, step, steps, new LaneSettings(1, 1, seed)));
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
      forwards.add(ids(lane.microBatch(3, step, steps, new LaneSettings(1, 1, seed))));
    }
    other.microBatch(2, 0, steps, new LaneSettings(1, 1, seed));
    for (int step = steps - 1; step >= 0; step--) {
      assertThat(ids(other.microBatch(3, step, steps, new LaneSettings(1, 1, seed))))
          .isEqualTo(forwards.get(step));
    }
  }

  @Test
  void epochsAndSeedsGiveOtherMicroBatches() {
    Lane<TextExample> lane = new Lane<>(0, SyntheticRows.of(60, 1));
    List<String> first = ids(lane.microBatch(0, 0, 6, new LaneSettings(1, 1, 5)));
    assertThat(ids(lane.microBatch(1, 0, 6, new LaneSettings(1, 1, 5)))).isNotEqualTo(first);
    assertThat(ids(lane.microBatch(0, 0, 6, new LaneSettings(1, 1, 6)))).isNotEqualTo(first);
    assertThat(ids(lane.microBatch(0, 0, 6, new LaneSettings(1, 1, 5)))).isEqualTo(first);
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
      List<TextExample> batch = lane.microBatch(0, step, steps, new LaneSettings(1, 1, 1));
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
      double mean = meanLength(one.microBatch(0, step, steps, new LaneSettings(1, 1, 1)));
      assertThat(meanLength(other.microBatch(0, step, steps, new LaneSettings(1, 1, 1))))
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

  private static double meanLength(List<TextExample> rows) {
    return rows.stream().mapToInt(TextExample::length).average().orElseThrow();
  }

  private static List<String> ids(List<TextExample> rows) {
    return rows.stream().map(TextExample::id).toList();
  }
}
