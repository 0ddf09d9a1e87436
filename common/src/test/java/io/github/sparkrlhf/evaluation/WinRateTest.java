package io.github.sparkrlhf.evaluation;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.github.sparkrlhf.evaluation.Contest.Verdict;
import io.github.sparkrlhf.spark.CounterRandom;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class WinRateTest {
  @Test
  void aTieCountsHalf() {
    Contest contest =
        new Contest(
            List.of(answer("p", "one", 1.0), answer("q", "two", 1.0), answer("r", "other", 9.0)),
            List.of(answer("p", "a", 0.0), answer("q", "b", 1.0)));
    List<Measurement> rates = contest.byReward(0);
    assertThat(rates).extracting(Measurement::metric).contains("win_rate");
    assertThat(rates.get(0).value()).isEqualTo(0.75);
    assertThat(rates.get(0).n()).isEqualTo(2);
    assertThat(rates.get(0).low()).isLessThan(0.75);
  }

  @Test
  void aPolicyThatWinsByLengthAloneIsNoBetterAtEqualLength() {
    CounterRandom random = new CounterRandom(1, "test");
    List<WinRate.Duel> duels = new ArrayList<>();
    for (int i = 0; i < 4000; i++) {
      // Most responses are longer, and P(win) depends on the difference alone.
      double difference = 0.8 + random.gaussian(i, 0);
      double p = 1 / (1 + Math.exp(-2 * Math.tanh(difference)));
      duels.add(new WinRate.Duel("p" + i, random.uniform(i, 1) < p ? 1 : 0, 100 * difference));
    }
    WinRate rates = new WinRate(duels, 0);
    assertThat(rates.plain().value()).isGreaterThan(0.65);
    WinRate.Rate controlled = rates.lengthControlled();
    assertThat(controlled.value()).isEqualTo(0.5, within(0.04));
    assertThat(controlled.low()).isLessThan(controlled.value());
    assertThat(controlled.high()).isGreaterThan(controlled.value());
  }

  @Test
  void withoutDifferencesInLengthBothRatesAreTheSame() {
    List<WinRate.Duel> duels =
        IntStream.range(0, 200)
            .mapToObj(i -> new WinRate.Duel("p" + i, i % 4 == 0 ? 0 : 1, 0))
            .toList();
    assertThat(new WinRate(duels, 0).lengthControlled().value()).isEqualTo(0.75, within(1e-3));
  }

  @Test
  void whoAlwaysWinsHasAFiniteRate() {
    List<WinRate.Duel> duels =
        IntStream.range(0, 50).mapToObj(i -> new WinRate.Duel("p" + i, 1, i)).toList();
    WinRate.Rate rate = new WinRate(duels, 0).lengthControlled();
    assertThat(rate.value()).isBetween(0.9, 1.0);
    assertThat(rate.high()).isLessThanOrEqualTo(1);
  }

  @Test
  void peopleDecideWhereTheyComparedTheTwo() {
    Contest contest =
        new Contest(
            List.of(answer("p", "ours", 1.0), answer("q", "ours", 0.0)),
            List.of(answer("p", "theirs", 0.0), answer("q", "theirs", 1.0)));
    List<Measurement> measured =
        contest.byPeople(
            List.of(
                new Verdict("p", "ours", "theirs"),
                new Verdict("q", "ours", "theirs"),
                new Verdict("q", "ours", "something else")));
    assertThat(measured).extracting(Measurement::n).containsOnly(2L);
    assertThat(measured.get(0).value()).isEqualTo(1);
    assertThat(measured.get(1).value()).isEqualTo(0.5);
    assertThat(contest.byPeople(List.of())).isEmpty();
  }

  @Test
  void meansAreOverResponsesAndRatiosOverTokens() {
    List<Answer> answers =
        List.of(
            new Answer("p", "a b", 2, true, 1.0, -1.0, -3.0),
            new Answer("p", "c", 2, false, 3.0, -2.0, -2.0),
            new Answer("q", "", 4, true, 5.0, -1.5, -4.5));
    List<Measurement> measured =
        new PolicyMetrics(answers, Map.of("p", "a b"), Map.of("p", -2.0), Map.of("p", 4))
            .measure(0);
    assertThat(value(measured, "reward")).isEqualTo(3);
    assertThat(value(measured, "kl_to_reference")).isEqualTo(5 / 3.0, within(1e-12));
    assertThat(value(measured, "reference_perplexity")).isEqualTo(Math.exp(9.5 / 8), within(1e-12));
    assertThat(value(measured, "truncated_share")).isEqualTo(1 / 3.0, within(1e-12));
    assertThat(value(measured, "empty_share")).isEqualTo(1 / 3.0, within(1e-12));
    assertThat(value(measured, "rouge_1")).isEqualTo(0.5);
    assertThat(value(measured, "perplexity_of_references")).isEqualTo(Math.exp(0.5), within(1e-12));
  }

  private static double value(List<Measurement> measured, String metric) {
    return measured.stream()
        .filter(each -> each.metric().equals(metric))
        .findFirst()
        .orElseThrow()
        .value();
  }

  private static Answer answer(String prompt, String response, double score) {
    return new Answer(prompt, response, response.length(), true, score, null, null);
  }
}
