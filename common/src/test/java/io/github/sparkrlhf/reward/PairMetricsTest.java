package io.github.sparkrlhf.reward;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.github.sparkrlhf.spark.CounterRandom;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;

class PairMetricsTest {
  /** A decided pair with lengths 30 and 20, two votes for and one against. */
  private static PairOutcome pair(String id, double difference, double probability) {
    return pair(id, difference, probability, 30, 20, 2, 1);
  }

  private static PairOutcome pair(
      String id,
      double difference,
      double probability,
      int chosen,
      int rejected,
      long votesFor,
      long votesAgainst) {
    return new PairOutcome(
        id,
        "test",
        difference,
        probability,
        probability > 0.5,
        chosen,
        rejected,
        1,
        0,
        votesFor,
        votesAgainst,
        3,
        1,
        "log",
        "debate",
        "comparison");
  }

  private static Map<String, Measurement> measured(List<PairOutcome> pairs) {
    return PairMetrics.of(pairs, List.of(PairProbability.UNCALIBRATED), 0).stream()
        .collect(Collectors.toMap(Measurement::metric, each -> each));
  }

  private static List<PairOutcome> crowd(int pairs) {
    CounterRandom random = new CounterRandom(7, "pair metrics test");
    List<PairOutcome> crowd = new ArrayList<>();
    for (int i = 0; i < pairs; i++) {
      int length = 1 + random.integer(99, i, 0);
      double difference = random.gaussian(i, 1) + 0.5 + (length - 50) / 50.0;
      double probability = 0.5 + 0.5 * random.uniform(i, 2);
      crowd.add(pair("p" + i, difference, probability, length, 50, 1 + i % 3, i % 2));
    }
    return crowd;
  }

  @Test
  void rulesAndCeilingsAsByHand() {
    Map<String, Measurement> metrics =
        measured(
            List.of(
                pair("1", 1, 0.9),
                pair("2", -1, 0.7, 10, 20, 1, 0),
                pair("3", 2, 0.8),
                pair("4", 0.5, 0.5, 10, 20, 1, 1)));

    assertThat(metrics.get("accuracy").value()).isCloseTo(2.0 / 3, within(1e-12));
    assertThat(metrics.get("accuracy_always_shorter").value()).isCloseTo(1.0 / 3, within(1e-12));
    assertThat(metrics.get("accuracy_more_lists").value()).isEqualTo(1);
    assertThat(metrics.get("accuracy_more_markdown").value()).isEqualTo(0.5);
    assertThat(metrics.get("accuracy_first_shown").value()).isEqualTo(0.75);
    assertThat(metrics.get("accuracy_first_shown").n()).isEqualTo(16);
    assertThat(metrics.get("lift_over_longer").value()).isZero();
    assertThat(metrics.get("lift_over_shorter").value()).isCloseTo(1.0 / 3, within(1e-12));
    assertThat(metrics.get("ceiling").value()).isCloseTo(0.8, within(1e-12));
    assertThat(metrics.get("share_of_ceiling").value()).isCloseTo(2 / 2.4, within(1e-12));
    // 2 of 3, 0 of 1, 2 of 3, 1 of 2 votes are for the response that the model prefers.
    assertThat(metrics.get("vote_agreement").value()).isCloseTo(5.0 / 9, within(1e-12));
    // Two against one: held out, a vote for sees 1:1 and the one against 2:0. One alone sees
    // nothing. One each: always against the other.
    assertThat(metrics.get("annotator_agreement").value()).isCloseTo(2.5 / 9, within(1e-12));
    assertThat(metrics.get("annotator_agreement").n()).isEqualTo(9);
  }

  @Test
  void scoresThatAreLengthsCorrelatePerfectlyAndOppositeOnesInversely() {
    List<PairOutcome> lengths = new ArrayList<>();
    for (int i = 0; i < 9; i++) {
      lengths.add(pair("" + i, Math.pow(i - 4, 3), 0.7, i, 4, 1, 0));
    }
    Map<String, Measurement> metrics = measured(lengths);

    assertThat(metrics.get("length_correlation_spearman").value()).isCloseTo(1, within(1e-12));
    assertThat(metrics.get("length_correlation_pearson").value()).isBetween(0.8, 0.99);
  }

  @Test
  void signedRanksAreRanksOfBothSidesFromTheMiddle() {
    // Among −3, −2, −2, 0, 0, 2, 2, 3 the ranks are 8, 2.5, 6.5 and 4.5, and their mean is 4.5.
    assertThat(PairMetrics.signedRanks(new double[] {3, -2, 2, 0})).containsExactly(3.5, -2, 2, 0);
  }

  @Test
  void theOrderOfPairsDoesNotMatterToAnInterval() {
    List<PairOutcome> pairs = crowd(400);
    List<PairOutcome> shuffled = new ArrayList<>();
    for (int i : new CounterRandom(1, "shuffle").permutation(400, 0)) {
      shuffled.add(pairs.get(i));
    }

    Map<String, Measurement> first = measured(pairs);
    Map<String, Measurement> second = measured(shuffled);

    assertThat(second.keySet()).isEqualTo(first.keySet());
    first.forEach(
        (metric, measurement) -> {
          assertThat(second.get(metric).value()).isCloseTo(measurement.value(), within(1e-12));
          assertThat(second.get(metric).low()).isCloseTo(measurement.low(), within(1e-12));
          assertThat(second.get(metric).high()).isCloseTo(measurement.high(), within(1e-12));
        });
  }

  @Test
  void theBootstrapOfAMeanIsAsWideAsTheNormalInterval() {
    List<PairOutcome> pairs = crowd(2000);
    double[] losses =
        pairs.stream()
            .mapToDouble(each -> ProperScores.logLoss(each.difference(), each.probability()))
            .toArray();
    double mean = Arrays.stream(losses).average().orElseThrow();
    double variance = Arrays.stream(losses).map(each -> (each - mean) * (each - mean)).sum() / 1999;
    double half = 1.96 * Math.sqrt(variance / 2000);

    Measurement loss = measured(pairs).get("log_loss");

    assertThat(loss.value()).isCloseTo(mean, within(1e-12));
    assertThat(loss.high() - loss.low()).isCloseTo(2 * half, within(0.3 * half));
    assertThat(loss.low()).isCloseTo(mean - half, within(0.3 * half));
  }

  @Test
  void slicesPartitionTheSplitAndSmallGroupsAreLeftOut() {
    List<PairOutcome> pairs = crowd(100);
    pairs.add(
        new PairOutcome(
            "small", "test", 1, 0.9, true, 10, 10, 0, 0, 3, 0, 0, 0, "log", "rare", null));

    Map<EvaluationSlice, List<PairOutcome>> slices = EvaluationSlice.of(pairs);

    assertThat(slices.get(EvaluationSlice.ALL)).hasSize(101);
    assertThat(slices).doesNotContainKey(new EvaluationSlice("group", "rare"));
    assertThat(slices.get(new EvaluationSlice("group", "debate"))).hasSize(100);
    for (String slice : List.of("length_gap", "agreement", "source")) {
      int sum =
          slices.entrySet().stream()
              .filter(entry -> entry.getKey().slice().equals(slice))
              .mapToInt(entry -> entry.getValue().size())
              .sum();
      assertThat(sum).as(slice).isEqualTo(101);
    }
    assertThat(EvaluationSlice.lengthGap(pair("1", 1, 1, 10, 20, 0, 0)))
        .isEqualTo("chosen shorter by over 25 %");
    assertThat(EvaluationSlice.lengthGap(pair("1", 1, 1, 4, 3, 0, 0)))
        .isEqualTo("chosen longer by up to 25 %");
    assertThat(EvaluationSlice.agreement(pair("1", 1, 1, 4, 3, 3, 1))).isEqualTo("at least 3 of 4");
    assertThat(EvaluationSlice.agreement(pair("1", 1, 1, 4, 3, 2, 1)))
        .isEqualTo("less than 3 of 4");
  }
}
