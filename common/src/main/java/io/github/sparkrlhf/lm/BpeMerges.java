package io.github.sparkrlhf.lm;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.PriorityQueue;
import java.util.Set;

/**
 * Learns the merges of byte-pair encoding (Sennrich et al., 2016) from the counts of pre-tokens.
 *
 * <p>Each step joins the pair of neighbouring tokens with the highest count; of equal counts the
 * pair whose left, then right token comes first in the order of unsigned bytes. The order is total
 * and counts are whole numbers, so the result depends on the counts alone and not on their order.
 *
 * <p>Counts are kept up to date instead of recounted: an index from pair to words says what a merge
 * touches, and a queue whose entries may be out of date (they are checked when they come up) says
 * which pair is next.
 */
final class BpeMerges {
  /** A pair that occurs once teaches nothing: the token would be a copy of one word. */
  private static final long MINIMUM_COUNT = 2;

  /** A learned merge: the bytes of the two tokens that it joins. */
  record Merge(byte[] left, byte[] right) {}

  private record Candidate(long pair, long count) {}

  private final List<byte[]> tokens = new ArrayList<>();
  private final Map<String, Integer> idsByText = new HashMap<>();
  private final List<int[]> words = new ArrayList<>();
  private final List<Long> wordCounts = new ArrayList<>();
  private final Map<Long, Long> pairCounts = new HashMap<>();
  private final Map<Long, Set<Integer>> wordsByPair = new HashMap<>();
  private final PriorityQueue<Candidate> queue;
  private final List<Merge> merges = new ArrayList<>();

  private BpeMerges(Map<String, Long> counts) {
    for (int b = 0; b < ByteAlphabet.SIZE; b++) {
      idOf(new byte[] {(byte) b});
    }
    for (Map.Entry<String, Long> entry : counts.entrySet()) {
      addWord(entry.getKey(), entry.getValue());
    }
    queue =
        new PriorityQueue<>(
            Comparator.comparingLong(Candidate::count)
                .reversed()
                .thenComparing(c -> tokens.get(left(c.pair())), Arrays::compareUnsigned)
                .thenComparing(c -> tokens.get(right(c.pair())), Arrays::compareUnsigned));
    pairCounts.forEach((pair, count) -> queue.add(new Candidate(pair, count)));
  }

  /**
   * The merges in the order in which they apply.
   *
   * @param counts how often each pre-token occurs
   * @param newTokens how many tokens to add to the 256 bytes; fewer come back if no pair occurs
   *     twice any more
   */
  static List<Merge> learn(Map<String, Long> counts, int newTokens) {
    BpeMerges state = new BpeMerges(counts);
    int target = ByteAlphabet.SIZE + newTokens;
    while (state.tokens.size() < target && state.mergeNext()) {
      // One merge a turn.
    }
    return state.merges;
  }

  private void addWord(String text, long count) {
    byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
    int[] word = new int[bytes.length];
    for (int i = 0; i < bytes.length; i++) {
      word[i] = bytes[i] & 0xFF;
    }
    words.add(word);
    wordCounts.add(count);
    int index = words.size() - 1;
    for (int i = 0; i + 1 < word.length; i++) {
      count(pair(word[i], word[i + 1]), count, index);
    }
  }

  private void count(long pair, long count, int word) {
    pairCounts.merge(pair, count, Long::sum);
    wordsByPair.computeIfAbsent(pair, p -> new HashSet<>()).add(word);
  }

  private boolean mergeNext() {
    while (!queue.isEmpty()) {
      Candidate best = queue.poll();
      long count = pairCounts.getOrDefault(best.pair(), 0L);
      if (count == best.count() && count >= MINIMUM_COUNT) {
        merge(best.pair());
        return true;
      }
      if (count >= MINIMUM_COUNT && count < best.count()) {
        queue.add(new Candidate(best.pair(), count));
      }
    }
    return false;
  }

  private void merge(long pair) {
    byte[] left = tokens.get(left(pair));
    byte[] right = tokens.get(right(pair));
    byte[] joined = Arrays.copyOf(left, left.length + right.length);
    System.arraycopy(right, 0, joined, left.length, right.length);
    merges.add(new Merge(left, right));
    int id = idOf(joined);
    Set<Long> grown = new HashSet<>();
    for (int word : wordsByPair.remove(pair)) {
      mergeIn(word, pair, id, grown);
    }
    pairCounts.remove(pair);
    for (long changed : grown) {
      queue.add(new Candidate(changed, pairCounts.getOrDefault(changed, 0L)));
    }
  }

  /** Replaces the pair in one word, moves the word's counts over, notes which pairs may grow. */
  private void mergeIn(int index, long pair, int id, Set<Long> grown) {
    int[] word = words.get(index);
    int[] merged = new int[word.length];
    int length = 0;
    for (int i = 0; i < word.length; i++) {
      boolean match = i + 1 < word.length && pair(word[i], word[i + 1]) == pair;
      merged[length++] = match ? id : word[i];
      i += match ? 1 : 0;
    }
    if (length == word.length) {
      return; // The index keeps words that lost the pair to an earlier merge.
    }
    merged = Arrays.copyOf(merged, length);
    words.set(index, merged);
    long count = wordCounts.get(index);
    for (int i = 0; i + 1 < word.length; i++) {
      pairCounts.merge(pair(word[i], word[i + 1]), -count, Long::sum);
    }
    for (int i = 0; i + 1 < length; i++) {
      long neighbours = pair(merged[i], merged[i + 1]);
      count(neighbours, count, index);
      if (merged[i] == id || merged[i + 1] == id) {
        grown.add(neighbours);
      }
    }
  }

  /** The id of the token with these bytes; two different merges may make the same token. */
  private int idOf(byte[] bytes) {
    return idsByText.computeIfAbsent(
        ByteAlphabet.text(bytes),
        text -> {
          tokens.add(bytes);
          return tokens.size() - 1;
        });
  }

  private static long pair(int left, int right) {
    return ((long) left << 32) | right;
  }

  private static int left(long pair) {
    return (int) (pair >>> 32);
  }

  private static int right(long pair) {
    return (int) pair;
  }
}
