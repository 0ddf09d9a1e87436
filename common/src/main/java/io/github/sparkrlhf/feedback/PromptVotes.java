package io.github.sparkrlhf.feedback;

import java.io.ByteArrayOutputStream;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.Iterator;
import java.util.List;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;

/** The votes on the responses to one prompt, sorted by pair and annotator. */
final class PromptVotes implements Serializable {
  /** The sums of {@link #addReliability}: votes meant as cast, votes. */
  static final int SUMS = 2;

  private static final long serialVersionUID = 1L;
  private static final int TIE = 2;

  /** Pseudo-votes with which the share of ties of a pair is drawn to that of the log. */
  private static final double TIE_STRENGTH = 2;

  private final long prompt;
  private final long[] responses;
  private final String[] pairs;
  private final int[] voteEnds;
  private final int[] first;
  private final int[] second;
  private final int[] voters;
  private final byte[] preferences;

  /** Takes rows of one prompt: see {@link #of}. */
  private PromptVotes(List<Row> rows) {
    rows.sort(
        Comparator.comparing((Row row) -> row.getString(3))
            .thenComparingInt(row -> row.getInt(4))
            .thenComparingInt(row -> row.getInt(5)));
    this.prompt = rows.get(0).getLong(0);
    this.responses =
        rows.stream()
            .flatMapToLong(row -> LongStream.of(row.getLong(1), row.getLong(2)))
            .sorted()
            .distinct()
            .toArray();
    this.first = rows.stream().mapToInt(row -> response(row.getLong(1))).toArray();
    this.second = rows.stream().mapToInt(row -> response(row.getLong(2))).toArray();
    this.voters = rows.stream().mapToInt(row -> row.getInt(4)).toArray();
    ByteArrayOutputStream said = new ByteArrayOutputStream();
    rows.forEach(row -> said.write(row.getInt(5)));
    this.preferences = said.toByteArray();
    this.pairs = rows.stream().map(row -> row.getString(3)).distinct().toArray(String[]::new);
    this.voteEnds =
        IntStream.rangeClosed(1, rows.size())
            .filter(
                i ->
                    i == rows.size()
                        || !rows.get(i).getString(3).equals(rows.get(i - 1).getString(3)))
            .toArray();
  }

  private int response(long key) {
    return Arrays.binarySearch(responses, key);
  }

  /**
   * The prompts of the rows.
   *
   * @param rows sorted by the first column: {@code prompt_key}, {@code first_key}, {@code
   *     second_key} BIGINT, {@code pair_id} STRING, {@code annotator} INT, {@code preference} INT:
   *     0 for the first response, 1 for the second, 2 for a tie
   */
  static Iterator<PromptVotes> of(Iterator<Row> rows) {
    List<PromptVotes> prompts = new ArrayList<>();
    List<Row> samePrompt = new ArrayList<>();
    while (rows.hasNext()) {
      Row row = rows.next();
      if (!samePrompt.isEmpty() && samePrompt.get(0).getLong(0) != row.getLong(0)) {
        prompts.add(new PromptVotes(samePrompt));
        samePrompt.clear();
      }
      samePrompt.add(row);
    }
    if (!samePrompt.isEmpty()) {
      prompts.add(new PromptVotes(samePrompt));
    }
    return prompts.iterator();
  }

  /** The scores of the responses: a function of these votes and the reliabilities only. */
  double[] scores(double[] reliabilities) {
    double[] shares = new double[preferences.length];
    double[] voterReliabilities = new double[preferences.length];
    for (int i = 0; i < shares.length; i++) {
      shares[i] = preferences[i] == TIE ? 0.5 : 1 - preferences[i];
      voterReliabilities[i] = reliabilities[voters[i]];
    }
    return BradleyTerryScores.fit(responses.length, first, second, shares, voterReliabilities);
  }

  /**
   * Adds to each annotator how many votes are expected to be meant as cast, in units of 2^-32, and
   * how many there are. Ties say nothing about reliability.
   *
   * @param sums {@code [annotators, 2]}
   */
  void addReliability(double[] reliabilities, long[] sums) {
    double[] scores = scores(reliabilities);
    for (int i = 0; i < preferences.length; i++) {
      if (preferences[i] != TIE) {
        double difference = scores[first[i]] - scores[second[i]];
        double wins = BradleyTerryScores.sigmoid(preferences[i] == 0 ? difference : -difference);
        double meant = BradleyTerryScores.meant(wins, reliabilities[voters[i]]);
        sums[voters[i] * SUMS] += Math.round(meant * DawidSkene.UNIT);
        sums[voters[i] * SUMS + 1]++;
      }
    }
  }

  /**
   * One row per pair: its id and the probabilities of first, second and tie.
   *
   * @param tieShare the share of ties in the log
   */
  Iterator<Row> pairs(double[] reliabilities, double tieShare) {
    double[] scores = scores(reliabilities);
    return IntStream.range(0, pairs.length)
        .mapToObj(
            pair -> {
              int start = pair == 0 ? 0 : voteEnds[pair - 1];
              int ties = 0;
              for (int i = start; i < voteEnds[pair]; i++) {
                ties += preferences[i] == TIE ? 1 : 0;
              }
              double tie =
                  (ties + TIE_STRENGTH * tieShare) / (voteEnds[pair] - start + TIE_STRENGTH);
              double wins =
                  BradleyTerryScores.sigmoid(scores[first[start]] - scores[second[start]]);
              return RowFactory.create(pairs[pair], wins * (1 - tie), (1 - wins) * (1 - tie), tie);
            })
        .iterator();
  }

  /** One row per response: prompt, response, score, number of votes. */
  Iterator<Row> responses(double[] reliabilities) {
    double[] scores = scores(reliabilities);
    long[] comparisons = new long[responses.length];
    for (int i = 0; i < preferences.length; i++) {
      comparisons[first[i]]++;
      comparisons[second[i]]++;
    }
    return IntStream.range(0, responses.length)
        .mapToObj(i -> RowFactory.create(prompt, responses[i], scores[i], comparisons[i]))
        .iterator();
  }
}
