package io.github.sparkrlhf.feedback;

import io.github.sparkrlhf.spark.SparkTestSession;
import java.sql.Timestamp;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.types.StructType;

/** Votes as the estimates of reliability read them, written by hand or drawn from a crowd. */
final class VoteLog {
  private static final StructType SCHEMA =
      StructType.fromDDL(
          "pair_id STRING, annotator_id STRING, choice STRING, swapped BOOLEAN,"
              + " created_at TIMESTAMP, started_at TIMESTAMP, source STRING");

  private VoteLog() {}

  /** A vote; times in seconds, null if unknown. */
  record Vote(
      String pair, String annotator, String choice, boolean swapped, Long created, Long started) {
    /** 0 if the vote is for the first of the pair, 1 for the second, 2 for a tie. */
    int canonical() {
      return choice.equals("tie") ? 2 : choice.equals("a") != swapped ? 0 : 1;
    }

    /** 0, 1, 2 for a, b, tie. */
    int displayed() {
      return List.of("a", "b", "tie").indexOf(choice);
    }

    /** The same vote with the two responses displayed in the other order. */
    Vote displayedInOtherOrder() {
      String other = choice.equals("tie") ? choice : choice.equals("a") ? "b" : "a";
      return new Vote(pair, annotator, other, !swapped, created, started);
    }
  }

  static Vote vote(String pair, String annotator, String choice, boolean swapped) {
    return new Vote(pair, annotator, choice, swapped, null, null);
  }

  static Dataset<Row> rows(List<Vote> votes) {
    return SparkTestSession.get()
        .createDataFrame(votes.stream().map(VoteLog::row).toList(), SCHEMA);
  }

  private static Row row(Vote vote) {
    return RowFactory.create(
        vote.pair(),
        vote.annotator(),
        vote.choice(),
        vote.swapped(),
        timestamp(vote.created()),
        timestamp(vote.started()),
        "s");
  }

  private static Timestamp timestamp(Long seconds) {
    return seconds == null ? null : new Timestamp(1000 * seconds);
  }

  /** How an annotator of a planted crowd behaves. */
  enum Kind {
    JUDGE,
    RANDOM,
    ALWAYS_FIRST
  }

  record Annotator(String name, Kind kind, double accuracy) {}

  /**
   * A crowd with its votes.
   *
   * @param truths by pair, whose id is its number: 0 first, 1 second, 2 tie
   */
  record Crowd(List<Annotator> annotators, int[] truths, List<Vote> votes) {}

  /** A crowd of judges right with 0.35 to 0.98, one in 15 random, one in 15 always-first. */
  static Crowd crowd(long seed, int annotators, int pairs, int votesPerPair, double ties) {
    Random random = new Random(seed);
    List<Annotator> crowd = new ArrayList<>();
    for (int i = 0; i < annotators; i++) {
      Kind kind = i % 15 == 0 ? Kind.RANDOM : i % 15 == 1 ? Kind.ALWAYS_FIRST : Kind.JUDGE;
      crowd.add(new Annotator("w" + i, kind, 0.35 + 0.63 * random.nextDouble()));
    }
    int[] truths = new int[pairs];
    List<Vote> votes = new ArrayList<>();
    for (int pair = 0; pair < pairs; pair++) {
      truths[pair] = random.nextDouble() < ties ? 2 : random.nextInt(2);
      for (int i = 0; i < votesPerPair; i++) {
        Annotator annotator = crowd.get(random.nextInt(annotators));
        boolean swapped = random.nextBoolean();
        String choice = choice(random, annotator, truths[pair], swapped);
        votes.add(vote(Integer.toString(pair), annotator.name(), choice, swapped));
      }
    }
    return new Crowd(crowd, truths, votes);
  }

  private static String choice(Random random, Annotator annotator, int truth, boolean swapped) {
    return switch (annotator.kind()) {
      case ALWAYS_FIRST -> "a";
      case RANDOM -> random.nextBoolean() ? "a" : "b";
      case JUDGE -> {
        int displayed = truth == 2 || !swapped ? truth : 1 - truth;
        boolean right = random.nextDouble() < annotator.accuracy();
        int wrong = displayed == 2 ? random.nextInt(2) : 1 - displayed;
        yield List.of("a", "b", "tie").get(right ? displayed : wrong);
      }
    };
  }
}
