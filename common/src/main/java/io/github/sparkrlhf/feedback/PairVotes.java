package io.github.sparkrlhf.feedback;

import static io.github.sparkrlhf.feedback.DawidSkene.CELLS;
import static io.github.sparkrlhf.feedback.DawidSkene.CLASSES;
import static io.github.sparkrlhf.feedback.DawidSkene.UNIT;

import java.io.ByteArrayOutputStream;
import java.io.Serializable;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.Iterator;
import java.util.List;
import java.util.stream.IntStream;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;

/**
 * A block of votes grouped by pair, in primitive arrays: some nine bytes a vote. Annotators are
 * numbered within the block, so that what a block sends to the driver is no longer than it must be.
 */
final class PairVotes implements Serializable {
  /** The sums of {@link #agreements()}: equal votes of others, votes of others, contradictions. */
  static final int AGREEMENT_SUMS = 3;

  private static final long serialVersionUID = 1L;

  /** The bit of a vote that says that the second response was displayed first. */
  private static final int SWAPPED = 4;

  private static final int TIE = 2;

  /** Votes for the first and the second, as bits. */
  private static final int BOTH_SIDES = 3;

  private final byte[] ids;
  private final int[] idEnds;
  private final int[] voteEnds;
  private final int[] annotators;
  private final int[] voters;
  private final byte[] votes;
  private final int[] sources;

  private PairVotes(
      byte[] ids,
      int[] idEnds,
      int[] voteEnds,
      int[] annotators,
      int[] voters,
      byte[] votes,
      int[] sources) {
    this.ids = ids;
    this.idEnds = idEnds;
    this.voteEnds = voteEnds;
    this.annotators = annotators;
    this.voters = voters;
    this.votes = votes;
    this.sources = sources;
  }

  /**
   * The block of the rows.
   *
   * @param rows sorted by the first column: a hash of the pair BIGINT, {@code pair_id} STRING,
   *     {@code annotator} INT, {@code vote} INT as {@link AnnotatorIndex#indexed} gives them, the
   *     number of the source INT
   */
  static PairVotes of(Iterator<Row> rows) {
    Builder builder = new Builder();
    // Sorting numbers is fast, sorting texts is not; pairs of one hash are told apart here.
    List<Row> sameHash = new ArrayList<>();
    while (rows.hasNext()) {
      Row row = rows.next();
      if (!sameHash.isEmpty() && sameHash.get(0).getLong(0) != row.getLong(0)) {
        builder.add(sameHash);
        sameHash.clear();
      }
      sameHash.add(row);
    }
    builder.add(sameHash);
    return builder.build();
  }

  private static final class Builder {
    private static final Comparator<Row> ORDER =
        Comparator.comparing((Row row) -> row.getString(1)).thenComparingInt(row -> row.getInt(2));

    private final ByteArrayOutputStream ids = new ByteArrayOutputStream();
    private final IntStream.Builder idEnds = IntStream.builder();
    private final IntStream.Builder voteEnds = IntStream.builder();
    private final IntStream.Builder voters = IntStream.builder();
    private final ByteArrayOutputStream votes = new ByteArrayOutputStream();
    private final IntStream.Builder sources = IntStream.builder();

    /** Adds all votes of one or more pairs. */
    void add(List<Row> rows) {
      rows.sort(ORDER);
      for (int i = 0; i < rows.size(); i++) {
        Row row = rows.get(i);
        voters.add(row.getInt(2));
        votes.write(row.getInt(3));
        sources.add(row.getInt(4));
        String id = row.getString(1);
        if (i == rows.size() - 1 || !id.equals(rows.get(i + 1).getString(1))) {
          ids.writeBytes(id.getBytes(StandardCharsets.UTF_8));
          idEnds.add(ids.size());
          voteEnds.add(votes.size());
        }
      }
    }

    PairVotes build() {
      int[] indices = voters.build().toArray();
      int[] annotators = Arrays.stream(indices).sorted().distinct().toArray();
      for (int i = 0; i < indices.length; i++) {
        indices[i] = Arrays.binarySearch(annotators, indices[i]);
      }
      return new PairVotes(
          ids.toByteArray(),
          idEnds.build().toArray(),
          voteEnds.build().toArray(),
          annotators,
          indices,
          votes.toByteArray(),
          sources.build().toArray());
    }
  }

  /**
   * The expectation step over the pairs on which at least two people voted: a vote that stands
   * alone says nothing about who cast it.
   *
   * @return {@code [annotators, 3, 3]} counts of what was said by displayed truth, and as totals
   *     the counts of the three classes of pairs; in units of 2^-32
   */
  AnnotatorSums expectation(DawidSkene.Logs logs) {
    long[] table = table(logs);
    long[] counts = new long[annotators.length * CELLS];
    long[] truths = new long[CLASSES];
    long[] sums = new long[CLASSES];
    double[] posterior = new double[CLASSES];
    for (int pair = 0; pair < voteEnds.length; pair++) {
      if (!overlaps(pair)) {
        continue;
      }
      posterior(pair, logs, table, sums, posterior);
      for (int k = 0; k < CLASSES; k++) {
        sums[k] = Math.round(posterior[k] * UNIT);
        truths[k] += sums[k];
      }
      for (int i = start(pair); i < voteEnds[pair]; i++) {
        int said = votes[i] & ~SWAPPED;
        int swapped = votes[i] / SWAPPED;
        int base = voters[i] * CELLS + said;
        counts[base + CLASSES * swapped] += sums[0];
        counts[base + CLASSES * (1 - swapped)] += sums[1];
        counts[base + CLASSES * TIE] += sums[TIE];
      }
    }
    return new AnnotatorSums(annotators, CELLS, counts, truths);
  }

  /**
   * How votes agree with those of others.
   *
   * @return for each annotator the votes of others on the same pairs that are equal to theirs, all
   *     votes of others on the same pairs, and the pairs on which they voted for both sides; as
   *     total the number of pairs with votes of at least two people
   */
  AnnotatorSums agreements() {
    long[] sums = new long[annotators.length * AGREEMENT_SUMS];
    long overlapping = 0;
    int[] all = new int[CLASSES];
    int[] own = new int[CLASSES];
    for (int pair = 0; pair < voteEnds.length; pair++) {
      int start = start(pair);
      int end = voteEnds[pair];
      overlapping += overlaps(pair) ? 1 : 0;
      count(start, end, all);
      int from = start;
      while (from < end) {
        int voter = voters[from];
        int to = from;
        while (to < end && voters[to] == voter) {
          to++;
        }
        count(from, to, own);
        for (int k = 0; k < CLASSES; k++) {
          sums[voter * AGREEMENT_SUMS] += (long) own[k] * (all[k] - own[k]);
        }
        sums[voter * AGREEMENT_SUMS + 1] += (long) (to - from) * (end - start - (to - from));
        sums[voter * AGREEMENT_SUMS + 2] += own[0] > 0 && own[1] > 0 ? 1 : 0;
        from = to;
      }
    }
    return new AnnotatorSums(annotators, AGREEMENT_SUMS, sums, new long[] {overlapping});
  }

  /**
   * What was said on the pairs, in the pair's own order.
   *
   * @param unknown the number that stands for all votes without annotator
   */
  VotePatterns patterns(int unknown) {
    VotePatterns.Builder patterns = new VotePatterns.Builder();
    for (int pair = 0; pair < voteEnds.length; pair++) {
      patterns.add(pattern(pair, VotePatterns.ALL, unknown));
      int[] named = Arrays.stream(sources, start(pair), voteEnds[pair]).distinct().toArray();
      for (int source : named) {
        patterns.add(pattern(pair, source, unknown));
      }
    }
    return patterns.build();
  }

  private VotePatterns.Pattern pattern(int pair, int source, int unknown) {
    int[] said = new int[CLASSES];
    int contradictions = 0;
    int saidByVoter = 0;
    for (int i = start(pair); i < voteEnds[pair]; i++) {
      boolean sameVoter = i > start(pair) && voters[i] == voters[i - 1];
      saidByVoter = sameVoter ? saidByVoter : 0;
      if (source != VotePatterns.ALL && source != sources[i]) {
        continue;
      }
      int preference = preference(i);
      int before = saidByVoter;
      boolean known = annotators[voters[i]] != unknown;
      saidByVoter |= known ? 1 << preference : 0;
      said[preference] += known && before == saidByVoter ? 0 : 1;
      contradictions += before != saidByVoter && isBoth(saidByVoter) && !isBoth(before) ? 1 : 0;
    }
    return new VotePatterns.Pattern(source, said[0], said[TIE], said[1], contradictions);
  }

  private static boolean isBoth(int said) {
    return (said & BOTH_SIDES) == BOTH_SIDES;
  }

  /** One row per pair: its id and the posterior probabilities of first, second and tie. */
  Iterator<Row> posteriors(DawidSkene.Logs logs) {
    long[] table = table(logs);
    return IntStream.range(0, voteEnds.length)
        .mapToObj(
            pair -> {
              double[] posterior = new double[CLASSES];
              posterior(pair, logs, table, new long[CLASSES], posterior);
              int from = pair == 0 ? 0 : idEnds[pair - 1];
              String id = new String(ids, from, idEnds[pair] - from, StandardCharsets.UTF_8);
              return RowFactory.create(id, posterior[0], posterior[1], posterior[2]);
            })
        .iterator();
  }

  private void posterior(
      int pair, DawidSkene.Logs logs, long[] table, long[] sums, double[] posterior) {
    if (logs.areNone()) {
      int[] said = new int[CLASSES];
      count(start(pair), voteEnds[pair], said);
      for (int k = 0; k < CLASSES; k++) {
        posterior[k] = (double) said[k] / (voteEnds[pair] - start(pair));
      }
      return;
    }
    System.arraycopy(logs.classes(), 0, sums, 0, CLASSES);
    for (int i = start(pair); i < voteEnds[pair]; i++) {
      int swapped = votes[i] / SWAPPED;
      int base = voters[i] * CELLS + (votes[i] & ~SWAPPED);
      sums[0] += table[base + CLASSES * swapped];
      sums[1] += table[base + CLASSES * (1 - swapped)];
      sums[TIE] += table[base + CLASSES * TIE];
    }
    DawidSkene.Logs.normalise(sums, posterior);
  }

  /** The logarithms of this block's annotators, {@code [annotators, 3, 3]}. */
  private long[] table(DawidSkene.Logs logs) {
    if (logs.areNone()) {
      return new long[0];
    }
    long[] table = new long[annotators.length * CELLS];
    for (int i = 0; i < annotators.length; i++) {
      System.arraycopy(logs.confusions(), annotators[i] * CELLS, table, i * CELLS, CELLS);
    }
    return table;
  }

  /** Counts the votes for first, second and tie. */
  private void count(int from, int to, int[] said) {
    Arrays.fill(said, 0);
    for (int i = from; i < to; i++) {
      said[preference(i)]++;
    }
  }

  /** 0 for the first of the pair, 1 for the second, 2 for a tie. */
  private int preference(int vote) {
    int displayed = votes[vote] & ~SWAPPED;
    return displayed == TIE ? TIE : displayed ^ (votes[vote] / SWAPPED);
  }

  /** Whether at least two people voted on the pair; its votes are sorted by annotator. */
  private boolean overlaps(int pair) {
    return voters[start(pair)] != voters[voteEnds[pair] - 1];
  }

  private int start(int pair) {
    return pair == 0 ? 0 : voteEnds[pair - 1];
  }
}
