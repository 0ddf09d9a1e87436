package io.github.sparkrlhf.feedback;

import io.github.sparkrlhf.spark.CounterRandom;
import java.io.Serializable;
import java.sql.Timestamp;
import java.util.LinkedHashMap;
import java.util.Map;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;

/**
 * The rows of the simulated log, each a pure function of the seed and its number. First come the
 * votes, nine for three pairs (2 + 3 + 4), then the exact duplicates of some of them, then the
 * broken rows, one sort after the other.
 */
final class SimulatedEvents implements Serializable {
  private static final long serialVersionUID = 1L;

  /** What may be wrong with a row. */
  enum Flaw {
    DUPLICATE,
    NULL_RESPONSE,
    BLANK_RESPONSE,
    UNKNOWN_CHOICE,
    IDENTICAL_RESPONSES
  }

  /**
   * A pair of different responses.
   *
   * @param number counts pairs
   */
  record Pair(long number, String prompt, String responseA, String responseB) {}

  /**
   * Who votes.
   *
   * @param reliability the probability of voting as they think
   */
  record Annotator(String id, String kind, double reliability) {}

  private static final int ANNOTATORS = 200;
  private static final int VOTES_PER_BLOCK = 9;
  private static final int PAIRS_PER_BLOCK = 3;
  private static final int DUPLICATE_EVERY = 100;
  private static final int FLAW_EVERY = 200;

  /** How decided people are: the log-odds of a preference are the gold difference by this. */
  private static final double TEMPERATURE = 0.5;

  /** Golds closer than this are hard to tell apart. */
  private static final double CLOSE = 0.25;

  private static final double TIE_PROBABILITY = 0.6;
  private static final long FIRST_SECOND = 1_767_225_600L; // 2026-01-01T00:00:00Z
  private static final long SECONDS_APART = 90;

  private final CounterRandom texts;
  private final CounterRandom people;
  private final CounterRandom votes;
  private final long voteCount;
  private final long duplicates;
  private final long perFlaw;

  SimulatedEvents(long seed, long rows) {
    this.texts = new CounterRandom(seed, "simulated-text");
    this.people = new CounterRandom(seed, "simulated-annotator");
    this.votes = new CounterRandom(seed, "simulated-vote");
    this.duplicates = rows / DUPLICATE_EVERY;
    this.perFlaw = rows / FLAW_EVERY;
    this.voteCount = rows - duplicates - (Flaw.values().length - 1) * perFlaw;
  }

  static int annotators() {
    return ANNOTATORS;
  }

  /** How many rows have which flaw. */
  Map<Flaw, Long> flaws() {
    Map<Flaw, Long> flaws = new LinkedHashMap<>();
    for (Flaw flaw : Flaw.values()) {
      flaws.put(flaw, flaw == Flaw.DUPLICATE ? duplicates : perFlaw);
    }
    return flaws;
  }

  /** How many pairs have votes that are not flawed. */
  long pairs() {
    return pairOf(voteCount - 1) + 1;
  }

  /** One in 20 clicks at random, one in 33 always takes the first; the others differ in care. */
  Annotator annotator(int number) {
    String id = "annotator-%03d".formatted(number);
    if (number % 20 == 7) {
      return new Annotator(id, "random", 0.5);
    }
    if (number % 33 == 11) {
      return new Annotator(id, "always-a", 0.5);
    }
    return new Annotator(id, "honest", 0.55 + 0.43 * people.uniform(number));
  }

  /** The pair with the number. */
  Pair pair(long number) {
    int promptNumber = texts.integer(SimulatedLanguage.prompts(), number);
    String first = SimulatedLanguage.response(texts, promptNumber, number, 0);
    String second = first;
    for (long attempt = 1; second.equals(first); attempt++) {
      second = SimulatedLanguage.response(texts, promptNumber, number, attempt);
    }
    return new Pair(number, SimulatedLanguage.prompt(promptNumber), first, second);
  }

  /** Row {@code number} of the log. */
  Row row(long number) {
    if (number < voteCount) {
      return vote(number, pairOf(number), voteOf(number));
    }
    long after = number - voteCount;
    if (after < duplicates) {
      long original = after * (voteCount / duplicates);
      return vote(original, pairOf(original), voteOf(original));
    }
    Flaw flaw = Flaw.values()[1 + (int) ((after - duplicates) / perFlaw)];
    // A pair of its own: a broken row must not look like one more vote on a sound pair.
    return broken(vote(number, pairs() + after, 0), flaw);
  }

  private static Row broken(Row row, Flaw flaw) {
    Object[] cells = new Object[row.size()];
    for (int i = 0; i < cells.length; i++) {
      cells[i] = row.get(i);
    }
    switch (flaw) {
      case NULL_RESPONSE -> cells[3] = null;
      case BLANK_RESPONSE -> cells[2] = "  ";
      case UNKNOWN_CHOICE -> cells[4] = "c";
      case IDENTICAL_RESPONSES -> cells[3] = cells[2];
      case DUPLICATE -> throw new IllegalArgumentException("a duplicate is not broken");
    }
    return RowFactory.create(cells);
  }

  private Row vote(long number, long pairNumber, int vote) {
    Pair pair = pair(pairNumber);
    // Which response is shown first is up to chance, as it should be.
    boolean swapped = votes.uniform(number, 0) < 0.5;
    String a = swapped ? pair.responseB() : pair.responseA();
    String b = swapped ? pair.responseA() : pair.responseB();
    // Steps shorter than a quarter of the annotators: nobody votes twice on a pair.
    int start = votes.integer(ANNOTATORS, pairNumber, -1);
    int step = 1 + votes.integer(ANNOTATORS / 4 - 1, pairNumber, -2);
    Annotator annotator = annotator((start + vote * step) % ANNOTATORS);
    String choice = choice(number, annotator, pair.prompt(), a, b);
    long jitter = votes.integer((int) SECONDS_APART, number, 1);
    Timestamp createdAt = new Timestamp((FIRST_SECOND + number * SECONDS_APART + jitter) * 1000L);
    String id = "event-%07d".formatted(number);
    return RowFactory.create(id, pair.prompt(), a, b, choice, annotator.id(), createdAt);
  }

  private String choice(long number, Annotator annotator, String prompt, String a, String b) {
    if (annotator.kind().equals("always-a")) {
      return "a";
    }
    if (annotator.kind().equals("random")) {
      return votes.uniform(number, 2) < 0.5 ? "a" : "b";
    }
    double difference = GoldReward.of(prompt, a) - GoldReward.of(prompt, b);
    if (Math.abs(difference) < CLOSE && votes.uniform(number, 3) < TIE_PROBABILITY) {
      return "tie";
    }
    // StrictMath: the same log on every machine.
    double preference = 1 / (1 + StrictMath.exp(-difference / TEMPERATURE));
    boolean thinksA = votes.uniform(number, 4) < preference;
    boolean says = votes.uniform(number, 5) < annotator.reliability();
    return thinksA == says ? "a" : "b";
  }

  private static long pairOf(long vote) {
    long place = vote % VOTES_PER_BLOCK;
    return vote / VOTES_PER_BLOCK * PAIRS_PER_BLOCK + (place < 2 ? 0 : place < 5 ? 1 : 2);
  }

  private static int voteOf(long vote) {
    int place = (int) (vote % VOTES_PER_BLOCK);
    return place < 2 ? place : place < 5 ? place - 2 : place - 5;
  }
}
