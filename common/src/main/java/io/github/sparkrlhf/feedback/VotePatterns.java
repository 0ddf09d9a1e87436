package io.github.sparkrlhf.feedback;

import java.io.Serializable;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.ToLongFunction;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;

/**
 * How many pairs have the same votes, by source and over all sources: a few hundred numbers,
 * however many votes there are.
 *
 * <p>Somebody who says the same about a pair twice counts once; different answers of one person all
 * count. Votes of unknown people are of different people.
 */
final class VotePatterns implements Serializable {
  /** The number of the source that stands for all of them together. */
  static final int ALL = -1;

  private static final long serialVersionUID = 1L;

  /**
   * What was said about a pair.
   *
   * @param source the number of the source, or {@link #ALL}
   * @param first judgements that the pair's first response is better
   * @param ties judgements that neither is
   * @param second judgements that the second is better
   * @param selfContradictions known people who said that the first is better and that the second is
   */
  record Pattern(int source, int first, int ties, int second, int selfContradictions)
      implements Serializable {
    /** Whether each of the two is better in somebody's judgement. */
    boolean contradicted() {
      return first > 0 && second > 0;
    }

    private List<Double> values() {
      List<Double> values = new ArrayList<>(Collections.nCopies(first, -1.0));
      values.addAll(Collections.nCopies(ties, 0.0));
      values.addAll(Collections.nCopies(second, 1.0));
      return values;
    }
  }

  private final Map<Pattern, Long> pairs;

  private VotePatterns(Map<Pattern, Long> pairs) {
    this.pairs = pairs;
  }

  /** Collects the patterns of pairs. */
  static final class Builder {
    private final Map<Pattern, Long> pairs = new HashMap<>();

    void add(Pattern pattern) {
      pairs.merge(pattern, 1L, Long::sum);
    }

    VotePatterns build() {
      return new VotePatterns(pairs);
    }
  }

  /** The patterns of the pairs of both, none of which lies in both. */
  VotePatterns plus(VotePatterns other) {
    Map<Pattern, Long> sum = new HashMap<>(pairs);
    other.pairs.forEach((pattern, count) -> sum.merge(pattern, count, Long::sum));
    return new VotePatterns(sum);
  }

  /**
   * The sum over all pairs of a source, by the name of the source.
   *
   * @param sources the names by number
   */
  Map<String, Long> sums(List<String> sources, ToLongFunction<Pattern> ofPair) {
    Map<String, Long> sums = new TreeMap<>();
    pairs.forEach(
        (pattern, count) ->
            sums.merge(name(pattern, sources), count * ofPair.applyAsLong(pattern), Long::sum));
    return sums;
  }

  /**
   * The judgements as {@link Agreement} counts them: −1 for the first, 0 for a tie, 1 for the
   * second.
   *
   * @param sources the names by number
   * @return rows with the columns of {@link Agreement#VECTORS}
   */
  Dataset<Row> vectors(SparkSession session, List<String> sources) {
    Map<String, Map<List<Double>, Long>> vectors = new TreeMap<>();
    pairs.forEach(
        (pattern, count) ->
            vectors
                .computeIfAbsent(name(pattern, sources), source -> new HashMap<>())
                .merge(pattern.values(), count, Long::sum));
    List<Row> rows = new ArrayList<>();
    vectors.forEach(
        (source, units) ->
            units.forEach(
                (values, count) ->
                    rows.add(RowFactory.create(source, Agreement.COMPARISON, values, count))));
    return session.createDataFrame(rows, Agreement.VECTORS);
  }

  private static String name(Pattern pattern, List<String> sources) {
    return pattern.source() == ALL ? Agreement.ALL : sources.get(pattern.source());
  }
}
