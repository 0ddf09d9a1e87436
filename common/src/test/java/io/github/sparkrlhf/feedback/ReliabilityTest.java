package io.github.sparkrlhf.feedback;

import static io.github.sparkrlhf.feedback.VoteLog.vote;
import static org.apache.spark.sql.functions.expr;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.github.sparkrlhf.feedback.VoteLog.Annotator;
import io.github.sparkrlhf.feedback.VoteLog.Crowd;
import io.github.sparkrlhf.feedback.VoteLog.Kind;
import io.github.sparkrlhf.feedback.VoteLog.Vote;
import io.github.sparkrlhf.spark.SharedData;
import io.github.sparkrlhf.spark.SparkTestSession;
import io.github.sparkrlhf.tables.Table;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.UnaryOperator;
import org.apache.commons.math3.stat.correlation.PearsonsCorrelation;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.catalyst.expressions.GenericRowWithSchema;
import org.junit.jupiter.api.Test;
import scala.collection.Seq;

class ReliabilityTest {
  @Test
  void equalsADenseDawidSkene() {
    List<Vote> votes = crowdWithUnknowns(1);
    try (Reliability reliability = Reliability.of(VoteLog.rows(votes), List.of("s"))) {
      NaiveDawidSkene naive = new NaiveDawidSkene(votes, reliability.iterations());

      assertThat(reliability.iterations()).isGreaterThan(3);
      Map<String, double[]> posteriors = posteriors(reliability.pairs());
      assertThat(posteriors.keySet()).isEqualTo(naive.posteriors.keySet());
      posteriors.forEach(
          (pair, posterior) ->
              assertThat(posterior).containsExactly(naive.posteriors.get(pair), within(1e-7)));
      for (Row annotator : reliability.annotators().collectAsList()) {
        double[][] expected = naive.confusions.get(annotator.<String>getAs("annotator_id"));
        double[][] confusion = confusion(annotator);
        for (int row = 0; row < 3; row++) {
          assertThat(confusion[row]).containsExactly(expected[row], within(1e-7));
        }
      }
    }
  }

  @Test
  void orderPartitionsAndNamesChangeNoBit() {
    List<Vote> votes = crowdWithUnknowns(2);
    List<Vote> shuffled = new ArrayList<>(votes);
    Collections.shuffle(shuffled, new Random(3));
    UnaryOperator<String> rename = name -> new StringBuilder(name).reverse().toString();
    List<Vote> renamed =
        shuffled.stream()
            .map(
                v ->
                    vote(
                        v.pair(),
                        v.annotator() == null ? null : rename.apply(v.annotator()),
                        v.choice(),
                        v.swapped()))
            .toList();

    Outcome expected = Outcome.of(VoteLog.rows(votes).coalesce(1), name -> name);

    assertThat(Outcome.of(VoteLog.rows(shuffled).repartition(5), name -> name)).isEqualTo(expected);
    assertThat(Outcome.of(VoteLog.rows(renamed), rename)).isEqualTo(expected);
  }

  @Test
  void displayingResponsesInTheOtherOrderOnlyMirrorsTheAnnotators() {
    List<Vote> votes = crowdWithUnknowns(4);
    List<Vote> mirrored = votes.stream().map(Vote::displayedInOtherOrder).toList();

    Outcome expected = Outcome.of(VoteLog.rows(votes), name -> name);
    Outcome other = Outcome.of(VoteLog.rows(mirrored), name -> name);

    assertThat(other.pairs).isEqualTo(expected.pairs);
    for (int i = 0; i < expected.annotators.size(); i++) {
      Row left = expected.annotators.get(i);
      Row right = other.annotators.get(i);
      assertThat(right.<Double>getAs("accuracy")).isEqualTo(left.<Double>getAs("accuracy"));
      assertThat(right.<Double>getAs("weight")).isEqualTo(left.<Double>getAs("weight"));
      assertThat(right.<Double>getAs("agreement")).isEqualTo(left.<Double>getAs("agreement"));
      assertThat(right.<Double>getAs("position_bias"))
          .isEqualTo(-left.<Double>getAs("position_bias"));
      assertThat(confusion(right)[0][1]).isEqualTo(confusion(left)[1][0]);
      assertThat(confusion(right)[0][2]).isEqualTo(confusion(left)[1][2]);
    }
  }

  @Test
  void aPlantedCrowdIsSeenThrough() {
    Crowd crowd = VoteLog.crowd(5, 300, 6000, 5, 0.1);
    try (Reliability reliability = Reliability.of(VoteLog.rows(crowd.votes()), List.of("s"))) {
      Map<String, Row> rows = byName(reliability.annotators());
      List<Annotator> judged =
          crowd.annotators().stream()
              .filter(a -> a.kind() == Kind.JUDGE && rows.get(a.name()).getInt(1) >= 20)
              .toList();
      double[] truth = judged.stream().mapToDouble(Annotator::accuracy).toArray();
      double[] estimate =
          judged.stream().mapToDouble(a -> rows.get(a.name()).<Double>getAs("accuracy")).toArray();
      assertThat(judged).hasSizeGreaterThan(250);
      assertThat(new PearsonsCorrelation().correlation(truth, estimate)).isGreaterThan(0.9);
      assertThat(judged.stream().filter(a -> covers(rows.get(a.name()), a.accuracy())).count())
          .as("95 %% intervals that cover, of %d", judged.size())
          .isGreaterThan(judged.size() * 8L / 10);
      for (Annotator annotator : crowd.annotators()) {
        String reason = rows.get(annotator.name()).getAs("spam_reason");
        if (annotator.kind() == Kind.ALWAYS_FIRST) {
          assertThat(reason).startsWith("always_same_answer,position_bias");
        } else {
          assertThat(reason == null || !reason.contains("always")).isTrue();
        }
        if (annotator.accuracy() > 0.75 && annotator.kind() == Kind.JUDGE) {
          assertThat(reason).as("%s", annotator).isNull();
        }
      }
      assertThat(rows.values().stream().map(row -> row.<String>getAs("spam_reason")))
          .contains("random", "adversarial");

      double posterior = accuracy(posteriors(reliability.pairs()), crowd.truths());
      double majority = accuracy(shares(crowd.votes()), crowd.truths());
      // The standard error of the difference is below 0.006.
      assertThat(posterior).isGreaterThan(majority + 0.03);
    }
  }

  @Test
  void whereNobodyElseVotedAPairIsTheShareOfItsVotes() {
    List<Vote> votes =
        List.of(
            vote("p", "ann", "a", false),
            vote("p", "ann", "tie", false),
            vote("q", "bob", "a", true),
            vote("r", null, "b", false),
            vote("r", null, "a", false));
    try (Reliability reliability = Reliability.of(VoteLog.rows(votes), List.of("s"))) {
      Map<String, double[]> pairs = posteriors(reliability.pairs());
      assertThat(pairs.get("p")).containsExactly(0.5, 0, 0.5);
      assertThat(pairs.get("q")).containsExactly(0, 1, 0);
      assertThat(pairs.get("r")).containsExactly(0.5, 0.5, 0);
      Map<String, Row> annotators = byName(reliability.annotators());
      assertThat(annotators).containsOnlyKeys("ann", "bob");
      Row ann = annotators.get("ann");
      assertThat(ann.getInt(1)).isEqualTo(2);
      assertThat(ann.<Double>getAs("tie_share")).isEqualTo(0.5);
      for (String unknown :
          List.of("accuracy", "accuracy_low", "weight", "confusion", "agreement", "position_z")) {
        assertThat(ann.<Object>getAs(unknown)).as(unknown).isNull();
      }
      assertThat(ann.<Boolean>getAs("spam")).isFalse();
    }
  }

  @Test
  void aLogThatPutsTheChosenFirstAccusesNobody() {
    Crowd crowd = VoteLog.crowd(6, 60, 1500, 5, 0);
    List<Vote> chosenFirst =
        crowd.votes().stream()
            .map(v -> v.choice().equals("b") ? v.displayedInOtherOrder() : v)
            .toList();
    try (Reliability reliability = Reliability.of(VoteLog.rows(chosenFirst), List.of("s"))) {
      for (Row row : reliability.annotators().collectAsList()) {
        assertThat(row.<Double>getAs("position_bias")).isNull();
        String reason = row.getAs("spam_reason");
        assertThat(reason == null || reason.equals("random") || reason.equals("adversarial"))
            .isTrue();
        double[][] confusion = confusion(row);
        assertThat(confusion[0][1]).isEqualTo(confusion[1][0]);
      }
      assertThat(accuracy(posteriors(reliability.pairs()), crowd.truths()))
          .isGreaterThan(accuracy(shares(chosenFirst), crowd.truths()) + 0.05);
    }
  }

  @Test
  void countsWhatAnAnnotatorDid() {
    List<Vote> votes =
        List.of(
            new Vote("p", "ann", "a", false, 100L, 97L),
            new Vote("p", "ann", "a", true, 130L, 120L),
            new Vote("p", "bob", "b", true, 10L, null),
            new Vote("p", "cat", "tie", false, 10L, null),
            new Vote("q", "bob", "b", false, 10L, null),
            new Vote("q", "cat", "b", false, 14L, null),
            new Vote("q", null, "a", true, null, null),
            new Vote("r", "bob", "a", false, 40L, null),
            new Vote("r", "dan", "a", true, null, null));
    try (Reliability reliability = Reliability.of(VoteLog.rows(votes), List.of("s"))) {
      Dataset<Row> annotators = reliability.annotators();
      assertThat(annotators.schema()).isEqualTo(Table.ANNOTATORS.schemaWithoutRun());
      Map<String, Row> rows = byName(annotators);
      // On p ann voted for first and second, bob for first, cat for neither.
      assertThat(rows.get("ann").<Integer>getAs("contradictions")).isEqualTo(1);
      assertThat(rows.get("bob").<Integer>getAs("contradictions")).isZero();
      assertThat(rows.get("ann").<Double>getAs("agreement")).isEqualTo(1 / 4.0);
      assertThat(rows.get("bob").<Double>getAs("agreement")).isEqualTo(3 / 6.0);
      assertThat(rows.get("cat").<Double>getAs("agreement")).isEqualTo(2 / 5.0);
      assertThat(rows.get("ann").<Double>getAs("median_seconds")).isEqualTo(6.5);
      assertThat(rows.get("bob").<Double>getAs("median_seconds")).isEqualTo(30.0);
      assertThat(rows.get("cat").<Double>getAs("median_seconds")).isEqualTo(4.0);
      assertThat(rows.get("dan").<Double>getAs("median_seconds")).isNull();
    }
  }

  @Test
  void whoVotesWithinASecondIsTooFast() {
    List<Vote> votes = new ArrayList<>();
    for (long i = 0; i < 20; i++) {
      String choice = i % 2 == 0 ? "a" : "b";
      votes.add(new Vote("p" + i, "hasty", choice, false, 100 * i + 1, 100 * i));
      votes.add(new Vote("p" + i, "slow", choice, false, 100 * i + 2, 100 * i));
    }
    try (Reliability reliability = Reliability.of(VoteLog.rows(votes), List.of("s"))) {
      Map<String, Row> rows = byName(reliability.annotators());
      assertThat(rows.get("hasty").<String>getAs("spam_reason")).isEqualTo("too_fast");
      assertThat(rows.get("slow").<String>getAs("spam_reason")).isNull();
    }
  }

  /** UKPConvArg1: the authors' own labels come from an annotator model as well. */
  @Test
  void agreesWithTheGoldLabelsOfUkpConvArg() {
    Dataset<Row> votes =
        SparkTestSession.get()
            .read()
            .parquet(SharedData.file("data/ukp_votes.parquet").toString())
            .where("response_a <> response_b")
            .selectExpr(
                "string(xxhash64(prompt, least(response_a, response_b),"
                    + " greatest(response_a, response_b))) AS pair_id",
                "annotator_id",
                "choice",
                "response_a > response_b AS swapped",
                "created_at",
                "accepted_at AS started_at",
                "IF(gold IN ('a', 'b'), (gold = 'a') = (response_a < response_b), NULL) AS gold");
    Dataset<Row> pairs =
        votes
            .groupBy("pair_id")
            .agg(
                expr("IF(min(gold) = max(gold), min(gold), NULL)").as("gold"),
                expr("sum(CASE WHEN choice = 'tie' THEN 0 WHEN (choice = 'a') = swapped THEN -1"
                        + " ELSE 1 END)")
                    .as("balance"))
            .where("gold IS NOT NULL");
    try (Reliability reliability = Reliability.of(votes, List.of("s"))) {
      Row result =
          reliability
              .pairs()
              .where("greatest(first_probability, second_probability) > tie_probability")
              .join(pairs, "pair_id")
              .selectExpr(
                  "count(*)",
                  "avg(int(gold = (first_probability > second_probability)))",
                  "avg(IF(balance = 0, 0.5D, int(gold = (balance > 0))))")
              .head();
      assertThat(result.getLong(0)).isGreaterThan(12_000);
      assertThat(result.getDouble(1)).isGreaterThan(0.975).isGreaterThan(result.getDouble(2));
    }
  }

  /** Some 40 annotators and 300 pairs with 1 to 5 votes, some by nobody known. */
  private static List<Vote> crowdWithUnknowns(long seed) {
    List<Vote> votes = new ArrayList<>();
    Random random = new Random(seed);
    for (Vote vote : VoteLog.crowd(seed, 40, 300, 5, 0.2).votes()) {
      if (random.nextInt(4) > 0) {
        String annotator = random.nextInt(20) == 0 ? null : vote.annotator();
        votes.add(vote(vote.pair(), annotator, vote.choice(), vote.swapped()));
      }
    }
    return votes;
  }

  /** All output, with annotators in the order of their original names. */
  private record Outcome(List<Row> pairs, List<Row> annotators) {
    static Outcome of(Dataset<Row> votes, UnaryOperator<String> originalName) {
      try (Reliability reliability = Reliability.of(votes, List.of("s"))) {
        Map<String, Row> annotators = new TreeMap<>();
        reliability
            .annotators()
            .collectAsList()
            .forEach(
                row -> {
                  Object[] values = new Object[row.length()];
                  for (int i = 0; i < values.length; i++) {
                    values[i] = row.get(i);
                  }
                  values[0] = originalName.apply(row.getString(0));
                  Row original = new GenericRowWithSchema(values, row.schema());
                  annotators.put(original.getString(0), original);
                });
        return new Outcome(
            reliability.pairs().orderBy("pair_id").collectAsList(),
            List.copyOf(annotators.values()));
      }
    }
  }

  private static Map<String, Row> byName(Dataset<Row> annotators) {
    Map<String, Row> rows = new HashMap<>();
    annotators.collectAsList().forEach(row -> rows.put(row.getString(0), row));
    return rows;
  }

  private static Map<String, double[]> posteriors(Dataset<Row> pairs) {
    Map<String, double[]> posteriors = new HashMap<>();
    for (Row row : pairs.collectAsList()) {
      posteriors.put(
          row.getString(0), new double[] {row.getDouble(1), row.getDouble(2), row.getDouble(3)});
    }
    return posteriors;
  }

  private static Map<String, double[]> shares(List<Vote> votes) {
    Map<String, double[]> shares = new HashMap<>();
    votes.forEach(v -> shares.computeIfAbsent(v.pair(), p -> new double[3])[v.canonical()]++);
    shares.values().forEach(ReliabilityTest::normalise);
    return shares;
  }

  /** The share of pairs whose most probable class is the truth; several share their point. */
  private static double accuracy(Map<String, double[]> posteriors, int[] truths) {
    double right = 0;
    for (int pair = 0; pair < truths.length; pair++) {
      double[] posterior = posteriors.get(Integer.toString(pair));
      double best = Arrays.stream(posterior).max().orElseThrow();
      long tied = Arrays.stream(posterior).filter(p -> p == best).count();
      right += posterior[truths[pair]] == best ? 1.0 / tied : 0;
    }
    return right / truths.length;
  }

  private static boolean covers(Row annotator, double accuracy) {
    return annotator.<Double>getAs("accuracy_low") <= accuracy
        && accuracy <= annotator.<Double>getAs("accuracy_high");
  }

  private static double[][] confusion(Row annotator) {
    double[][] confusion = new double[3][];
    List<Seq<Double>> rows = annotator.getList(annotator.fieldIndex("confusion"));
    for (int row = 0; row < confusion.length; row++) {
      Seq<Double> cells = rows.get(row);
      confusion[row] = new double[] {cells.apply(0), cells.apply(1), cells.apply(2)};
    }
    return confusion;
  }

  private static void normalise(double[] values) {
    double sum = Arrays.stream(values).sum();
    for (int i = 0; i < values.length; i++) {
      values[i] /= sum;
    }
  }

  /** The same model written down as in the paper: dense, in doubles, one vote at a time. */
  private static final class NaiveDawidSkene {
    final Map<String, double[]> posteriors;
    final Map<String, double[][]> confusions = new HashMap<>();
    private final List<Vote> votes;

    NaiveDawidSkene(List<Vote> votes, int iterations) {
      this.votes = votes;
      this.posteriors = shares(votes);
      for (int i = 0; i < iterations; i++) {
        double[] classes = maximise();
        expect(classes);
      }
    }

    private double[] maximise() {
      Map<String, Set<String>> people = new HashMap<>();
      votes.forEach(v -> people.computeIfAbsent(v.pair(), p -> new HashSet<>()).add(v.annotator()));
      double[] classes = {0, 0, 0};
      people.forEach(
          (pair, who) -> {
            for (int t = 0; t < 3 && who.size() > 1; t++) {
              classes[t] += posteriors.get(pair)[t];
            }
          });
      double[] prior = {
        (classes[0] + classes[1] + 2) / 2, (classes[0] + classes[1] + 2) / 2, classes[2] + 1
      };
      normalise(prior);
      double[][] crowd = {{2.8, 0.6, 0.6}, {0.6, 2.8, 0.6}, {0.6, 0.6, 2.8}};
      confusions.clear();
      for (Vote vote : votes) {
        double[][] counts = confusions.computeIfAbsent(vote.annotator(), a -> new double[3][3]);
        for (int truth = 0; truth < 3 && people.get(vote.pair()).size() > 1; truth++) {
          int shown = shown(truth, vote);
          counts[shown][vote.displayed()] += posteriors.get(vote.pair())[truth];
          crowd[shown][vote.displayed()] += posteriors.get(vote.pair())[truth];
        }
      }
      for (int row = 0; row < 3; row++) {
        normalise(crowd[row]);
        for (double[][] counts : confusions.values()) {
          for (int said = 0; said < 3; said++) {
            counts[row][said] += 4 * crowd[row][said];
          }
          normalise(counts[row]);
        }
      }
      return prior;
    }

    private void expect(double[] classes) {
      posteriors.replaceAll((pair, old) -> classes.clone());
      for (Vote vote : votes) {
        double[] posterior = posteriors.get(vote.pair());
        double[][] confusion = confusions.get(vote.annotator());
        for (int truth = 0; truth < 3; truth++) {
          posterior[truth] *= confusion[shown(truth, vote)][vote.displayed()];
        }
      }
      posteriors.values().forEach(ReliabilityTest::normalise);
    }

    private static int shown(int truth, Vote vote) {
      return truth < 2 && vote.swapped() ? 1 - truth : truth;
    }
  }
}
