package io.github.sparkrlhf.reward;

import java.io.Serializable;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.PriorityQueue;
import java.util.SortedMap;
import java.util.stream.IntStream;

/**
 * Which token sequences are scored together and by which task, from nothing but how many there are
 * of each length.
 *
 * <p>Sequences of one length are told apart by some bits of their hash: a <em>cell</em> is a length
 * and such bits. A <em>unit</em> is a run of cells in the order of length that makes about one
 * batch, or a cell that makes more. Units depend on the sequences alone; only their distribution
 * over tasks depends on how many tasks there are, and no score depends on that.
 */
final class ScoringPlan implements Serializable {
  private static final long serialVersionUID = 1L;

  /** A batch has at most so many tokens, padding included, unless one sequence has more. */
  static final int BATCH_TOKENS = 4096;

  private static final int HASH_BITS = 6;

  /** From here on a batch is large enough to be closed where longer sequences would pad it. */
  private static final int DENSE_TOKENS = BATCH_TOKENS / 4;

  private static final double LONGEST_TO_SHORTEST = 1.25;

  /** A lost executor costs the work on at most so many tokens per task. */
  private static final long TASK_TOKENS = 1L << 21;

  private static final int TASKS_PER_SLOT = 2;

  private final int[] cells;
  private final int[] units;
  private final int[] tasks;
  private final int taskCount;

  private ScoringPlan(int[] cells, int[] units, int[] tasks, int taskCount) {
    this.cells = cells;
    this.units = units;
    this.tasks = tasks;
    this.taskCount = taskCount;
  }

  /** The cell of a sequence. Cells are in the order of lengths. */
  static int cell(int length, long hash) {
    return length << HASH_BITS | (int) (hash >>> (Long.SIZE - HASH_BITS));
  }

  /**
   * A plan.
   *
   * @param counts how many sequences there are in each cell that has some
   * @param slots how many tasks run at the same time
   */
  static ScoringPlan of(SortedMap<Integer, Long> counts, int slots) {
    int[] cells = new int[counts.size()];
    int[] units = new int[counts.size()];
    List<Long> work = new ArrayList<>();
    long rows = 0;
    int shortest = 0;
    int next = 0;
    for (Map.Entry<Integer, Long> entry : counts.entrySet()) {
      int length = entry.getKey() >> HASH_BITS;
      long count = entry.getValue();
      boolean full =
          (rows + count) * length > BATCH_TOKENS
              || length > LONGEST_TO_SHORTEST * shortest && rows * shortest >= DENSE_TOKENS;
      if (work.isEmpty() || full) {
        work.add(0L);
        rows = 0;
        shortest = length;
      }
      rows += count;
      cells[next] = entry.getKey();
      units[next++] = work.size() - 1;
      work.set(work.size() - 1, rows * length);
    }
    long total = work.stream().mapToLong(Long::longValue).sum();
    long wanted = Math.max((long) TASKS_PER_SLOT * slots, total / TASK_TOKENS);
    int taskCount = (int) Math.max(1, Math.min(wanted, work.size()));
    return new ScoringPlan(cells, units, dealt(work, taskCount), taskCount);
  }

  /** Each unit, those of most work first, goes to the task that has the least so far. */
  private static int[] dealt(List<Long> work, int taskCount) {
    int[] tasks = new int[work.size()];
    long[] load = new long[taskCount];
    PriorityQueue<Integer> least =
        new PriorityQueue<>(
            Comparator.<Integer>comparingLong(task -> load[task])
                .thenComparing(Comparator.naturalOrder()));
    IntStream.range(0, taskCount).forEach(least::add);
    IntStream.range(0, tasks.length)
        .boxed()
        .sorted(Comparator.comparingLong((Integer unit) -> -work.get(unit)))
        .forEach(
            unit -> {
              int task = least.remove();
              tasks[unit] = task;
              load[task] += work.get(unit);
              least.add(task);
            });
    return tasks;
  }

  /** The unit of a cell that has sequences. Units are in the order of lengths. */
  int unit(int cell) {
    return units[Arrays.binarySearch(cells, cell)];
  }

  /** The task of a unit, from 0. */
  int task(int unit) {
    return tasks[unit];
  }

  /** How many tasks there are. */
  int tasks() {
    return taskCount;
  }
}
