package io.github.sparkrlhf.reward;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.IntStream;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.Size;
import org.junit.jupiter.api.Test;

class ScoringPlanTest {
  @Property(tries = 200)
  void unitsAreRunsOfLengthsThatMakeABatchWhateverTheSlots(
      @ForAll @Size(max = 300) List<@IntRange(min = 1, max = 600) Integer> lengths,
      @ForAll @IntRange(min = 1, max = 9) int slots) {
    TreeMap<Integer, Long> counts = counts(lengths);
    ScoringPlan plan = ScoringPlan.of(counts, slots);
    ScoringPlan other = ScoringPlan.of(counts, slots + 3);
    Map<Integer, Long> tokens = new TreeMap<>();
    Map<Integer, Integer> cells = new TreeMap<>();
    int last = 0;
    for (Map.Entry<Integer, Long> entry : counts.entrySet()) {
      int unit = plan.unit(entry.getKey());
      assertThat(unit).isBetween(last, last + 1).isEqualTo(other.unit(entry.getKey()));
      assertThat(plan.task(unit)).isBetween(0, plan.tasks() - 1);
      last = unit;
      tokens.merge(unit, (entry.getKey() >> 6) * entry.getValue(), Long::sum);
      cells.merge(unit, 1, Integer::sum);
    }
    tokens.forEach(
        (unit, sum) ->
            assertThat(sum <= ScoringPlan.BATCH_TOKENS || cells.get(unit) == 1).isTrue());
  }

  @Test
  void tasksGetEvenWork() {
    List<Integer> lengths = IntStream.range(0, 2000).mapToObj(i -> 20 + i % 230).toList();
    TreeMap<Integer, Long> counts = counts(lengths);
    ScoringPlan plan = ScoringPlan.of(counts, 2);
    long[] work = new long[plan.tasks()];
    counts.forEach((cell, count) -> work[plan.task(plan.unit(cell))] += (cell >> 6) * count);
    assertThat(work).hasSize(4);
    long total = IntStream.range(0, 4).mapToLong(task -> work[task]).sum();
    for (long each : work) {
      assertThat(each).isBetween((long) (0.95 * total / 4), (long) (1.05 * total / 4));
    }
  }

  @Test
  void muchWorkIsManyTasks() {
    TreeMap<Integer, Long> counts = new TreeMap<>();
    IntStream.range(0, 64).forEach(bits -> counts.put(100 << 6 | bits, 10_000L));
    assertThat(ScoringPlan.of(counts, 2).tasks()).isEqualTo(64_000_000 >> 21);
  }

  private static TreeMap<Integer, Long> counts(List<Integer> lengths) {
    TreeMap<Integer, Long> counts = new TreeMap<>();
    for (int i = 0; i < lengths.size(); i++) {
      counts.merge(ScoringPlan.cell(lengths.get(i), (long) i * 0x9E3779B97F4A7C15L), 1L, Long::sum);
    }
    return counts;
  }
}
