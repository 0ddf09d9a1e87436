package io.github.sparkrlhf.ppo;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.github.sparkrlhf.ppo.WatchdogSettings.Action;
import io.github.sparkrlhf.ppo.WatchdogSettings.Bounds;
import io.github.sparkrlhf.spark.CounterRandom;
import io.github.sparkrlhf.spark.JobFailure;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class WatchdogTest {
  private static final double INFINITE = Double.POSITIVE_INFINITY;
  private static final int K = 3;

  @Test
  void aRewardThatRisesWhileTheWatchersScoreFallsIsAnAlarm() {
    Watchdog dog = dog(Action.STOP, Bounds.NONE);
    List<Integer> alarms = new ArrayList<>();
    for (int i = 0; i < 20; i++) {
      // The watcher's score peaks at iteration 8.
      if (!dog.look(i, metrics(i, -Math.abs(i - 8))).isEmpty()) {
        alarms.add(i);
      }
    }
    // By the watcher 9 is better than 6, and 10, 11 and 12 are worse than 7, 8 and 9.
    assertThat(alarms.get(0)).isEqualTo(12);
    assertThat(dog.bestIteration()).isEqualTo(8);
    assertThat(dog.alarms().get(0).reason())
        .isEqualTo("the score has risen and that of the watcher has fallen over 3 iterations");
    // Not again before it has seen as many iterations anew.
    assertThat(alarms).containsExactly(12, 15, 18);
  }

  @ParameterizedTest
  @CsvSource({"1, 1", "-1, -1", "-1, 1"})
  void otherTrendsAreNoAlarm(double score, double watched) {
    Watchdog dog = dog(Action.STOP, Bounds.NONE);
    for (int i = 0; i < 20; i++) {
      assertThat(dog.look(i, metrics(score * i, watched * i))).isEmpty();
    }
  }

  @Test
  void withoutAWatcherOrATrendThereIsSeldomAnAlarm() {
    CounterRandom random = new CounterRandom(1, "watchdog test");
    Watchdog blind = dog(Action.STOP, Bounds.NONE);
    Watchdog seeing = new Watchdog(new WatchdogSettings(Action.STOP, 5, Bounds.NONE));
    for (int i = 0; i < 200; i++) {
      Map<String, Double> metrics = metrics(i, 0);
      metrics.remove(Watchdog.WATCHED);
      assertThat(blind.look(i, metrics)).isEmpty();
      seeing.look(i, metrics(random.gaussian(0, i), random.gaussian(1, i)));
    }
    assertThat(blind.bestIteration()).isEqualTo(199);
    assertThat(seeing.alarms()).hasSizeLessThan(3);
  }

  @ParameterizedTest
  @CsvSource({
    "objective/kl, 7, 'the KL in nats per response is 7.000, above 6.000'",
    "response/length_mean, 41, 'the length of responses in tokens is 41.000, above 40.000'",
    "response/length_mean, 4, 'the length of responses in tokens is 4.000, below 5.000'",
    "response/repetition, 0.4, 'the share of repeated 4-grams is 0.400, above 0.300'",
    "response/distinct_2, 0.35, 'distinct-2 over that of the first iteration is 0.700, below 0.800'",
    "objective/entropy, 1, 'the entropy in nats per token is 0.100, below 0.500'",
    "policy/sampler_logprob_difference_mean, 0.006, 'in nats per token is 0.006, above 0.005'"
  })
  void everyBoundIsWatched(String metric, double value, String reason) {
    Watchdog dog = dog(Action.WARN, new Bounds(6, 5, 40, 0.3, 0.8, 0.5, 0.005));
    assertThat(dog.look(0, metrics(0, 0))).isEmpty();
    Map<String, Double> left = metrics(1, 1);
    left.put(metric, value);
    assertThat(dog.look(1, left)).singleElement().asString().contains(reason);
  }

  @Test
  void anIterationOutOfBoundsIsNotTheBest() {
    Watchdog dog = dog(Action.STOP, new Bounds(6, 0, INFINITE, INFINITE, 0, 0, INFINITE));
    dog.look(0, metrics(1, 1));
    Map<String, Double> left = metrics(9, 9);
    left.put("objective/kl", 7.0);
    dog.look(1, left);
    assertThat(dog.bestIteration()).isZero();
    assertThat(left).containsEntry("watchdog/alarms", 1.0);
  }

  @Test
  void theLearningRateIsHalvedAtMostOnceInSoManyIterations() {
    Watchdog dog =
        dog(Action.LOWER_LEARNING_RATE, new Bounds(6, 0, INFINITE, INFINITE, 0, 0, INFINITE));
    List<Double> factors = new ArrayList<>();
    for (int i = 0; i < 7; i++) {
      Map<String, Double> metrics = metrics(0, 0);
      metrics.put("objective/kl", i == 0 ? 0.0 : 7.0);
      dog.look(i, metrics);
      factors.add(metrics.get("watchdog/learning_rate_factor"));
    }
    assertThat(factors).containsExactly(1.0, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25);
  }

  @Test
  void aResumedWatchdogSeesWhatTheOtherWouldHaveSeen() {
    Bounds bounds = new Bounds(6, 0, INFINITE, INFINITE, 0.8, 0, INFINITE);
    Watchdog whole = dog(Action.LOWER_LEARNING_RATE, bounds);
    for (int cut = 0; cut < 20; cut++) {
      Watchdog resumed = dog(Action.LOWER_LEARNING_RATE, bounds);
      resumed.remember(whole.memory());
      Map<String, Double> metrics = metrics(cut, -Math.abs(cut - 8));
      metrics.put("objective/kl", cut / 2.0);
      Map<String, Double> same = new TreeMap<>(metrics);
      assertThat(resumed.look(cut, same)).isEqualTo(whole.look(cut, metrics));
      assertThat(same).isEqualTo(metrics);
      assertThat(resumed.memory()).isEqualTo(whole.memory());
    }
    assertThat(whole.alarms()).isNotEmpty();
    assertThat(whole.learningRateFactor()).isCloseTo(0.125, within(0.1));
    assertThatThrownBy(() -> whole.remember("{"))
        .isInstanceOf(JobFailure.class)
        .hasMessageStartingWith("Cannot resume: what the watchdog remembers is damaged");
  }

  @Test
  void repetitionCountsFourGramsAndDistinctTwoBigrams() {
    assertThat(Repetition.within(new int[] {1, 2, 3})).isZero();
    assertThat(Repetition.within(new int[] {1, 1, 1, 1, 1, 1})).isCloseTo(2 / 3.0, within(1e-12));
    assertThat(Repetition.within(new int[] {1, 2, 3, 4, 5, 6})).isZero();
    assertThat(Repetition.distinct(List.of(new int[] {1, 2, 3}, new int[] {1, 2}, new int[] {9})))
        .isCloseTo(2 / 3.0, within(1e-12));
    assertThat(Repetition.distinct(List.of(new int[] {9}))).isNaN();
  }

  private static Watchdog dog(Action action, Bounds bounds) {
    return new Watchdog(new WatchdogSettings(action, K, bounds));
  }

  private static Map<String, Double> metrics(double score, double watched) {
    return new TreeMap<>(
        Map.of(
            "objective/scores",
            score,
            Watchdog.WATCHED,
            watched,
            "objective/kl",
            1.0,
            "objective/entropy",
            30.0,
            "response/length_mean",
            10.0,
            "response/repetition",
            0.1,
            "response/distinct_2",
            0.5,
            "policy/sampler_logprob_difference_mean",
            0.0));
  }
}
