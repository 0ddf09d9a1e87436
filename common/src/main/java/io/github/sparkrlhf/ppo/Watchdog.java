package io.github.sparkrlhf.ppo;

import com.fasterxml.jackson.annotation.JsonAutoDetect;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.sparkrlhf.spark.JobFailure;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * Watches for a policy that exploits its reward model or falls apart. It looks at the metrics of
 * each iteration before the update, and remembers all that its decisions depend on in a form that a
 * checkpoint keeps.
 *
 * <p>Over-optimisation (Gao et al., 2023) shows in a second reward model that training never asks:
 * each of the last k iterations has a higher score than the one k iterations before it, and a lower
 * one by the watcher. A single such comparison is noise in half of the cases, k of them seldom are.
 */
public final class Watchdog {
  /** The mean score of the second reward model. */
  static final String WATCHED = "watchdog/scores";

  private static final String SCORE = "objective/scores";
  private static final String DISTINCT = "response/distinct_2";
  private static final ObjectMapper JSON = new ObjectMapper();

  /**
   * An alarm.
   *
   * @param iteration whose responses gave it
   * @param reason in words
   */
  public record Alarm(int iteration, String reason) {}

  /** What decisions depend on; as JSON in a checkpoint. */
  @JsonAutoDetect(fieldVisibility = JsonAutoDetect.Visibility.ANY)
  private static final class Memory {
    List<Double> scores = new ArrayList<>();
    List<Double> watched = new ArrayList<>();
    double firstDistinct = Double.NaN;
    int bestIteration = -1;
    double best = Double.NEGATIVE_INFINITY;
    int lowerings;
    int nextLowering;
    int nextDivergence;
    List<Alarm> alarms = new ArrayList<>();
  }

  private final WatchdogSettings settings;
  private Memory memory = new Memory();

  Watchdog(WatchdogSettings settings) {
    this.settings = settings;
  }

  /** Everything it remembers. */
  String memory() {
    try {
      return JSON.writeValueAsString(memory);
    } catch (JsonProcessingException e) {
      throw new IllegalStateException(e);
    }
  }

  /** Takes up what {@link #memory()} gave. */
  void remember(String json) {
    try {
      memory = JSON.readValue(json, Memory.class);
    } catch (JsonProcessingException e) {
      throw JobFailure.failure(
          "Cannot resume: what the watchdog remembers is damaged: " + e.getOriginalMessage(), e);
    }
  }

  /** All alarms so far. */
  List<Alarm> alarms() {
    return List.copyOf(memory.alarms);
  }

  /** The iteration whose weights sampled the best responses within all bounds; −1 for none. */
  int bestIteration() {
    return memory.bestIteration;
  }

  /** What the learning rates are multiplied with. */
  double learningRateFactor() {
    return Math.scalb(1.0, -memory.lowerings);
  }

  /**
   * Looks at an iteration.
   *
   * @param metrics of its responses; gets what the watchdog has to say
   * @return the reasons for alarm; empty if all is well
   */
  List<String> look(int iteration, Map<String, Double> metrics) {
    if (memory.scores.isEmpty()) {
      memory.firstDistinct = metrics.getOrDefault(DISTINCT, Double.NaN);
    }
    memory.scores.add(metrics.get(SCORE));
    if (metrics.containsKey(WATCHED)) {
      memory.watched.add(metrics.get(WATCHED));
    }
    List<String> reasons = new ArrayList<>(leftBounds(metrics));
    if (reasons.isEmpty()) {
      double value = metrics.getOrDefault(WATCHED, metrics.get(SCORE));
      if (value > memory.best) {
        memory.best = value;
        memory.bestIteration = iteration;
      }
    }
    if (iteration >= memory.nextDivergence && diverges()) {
      memory.nextDivergence = iteration + settings.iterations();
      reasons.add(
          "the score has risen and that of the watcher has fallen over %d iterations"
              .formatted(settings.iterations()));
    }
    reasons.forEach(reason -> memory.alarms.add(new Alarm(iteration, reason)));
    if (!reasons.isEmpty()
        && settings.action() == WatchdogSettings.Action.LOWER_LEARNING_RATE
        && iteration >= memory.nextLowering) {
      memory.lowerings++;
      memory.nextLowering = iteration + settings.iterations();
    }
    metrics.put("watchdog/alarms", (double) reasons.size());
    metrics.put("watchdog/learning_rate_factor", learningRateFactor());
    return reasons;
  }

  /** Notes an alarm that no metric shows. */
  void alarm(int iteration, String reason) {
    memory.alarms.add(new Alarm(iteration, reason));
  }

  private boolean diverges() {
    int k = settings.iterations();
    int last = memory.scores.size() - 1;
    if (memory.watched.isEmpty() || last < 2 * k - 1) {
      return false;
    }
    for (int i = last; i > last - k; i--) {
      boolean apart =
          memory.scores.get(i) > memory.scores.get(i - k)
              && memory.watched.get(i) < memory.watched.get(i - k);
      if (!apart) {
        return false;
      }
    }
    return true;
  }

  private List<String> leftBounds(Map<String, Double> metrics) {
    WatchdogSettings.Bounds bounds = settings.bounds();
    List<String> reasons = new ArrayList<>();
    double length = metrics.get("response/length_mean");
    atMost(reasons, "the KL in nats per response", metrics.get("objective/kl"), bounds.maxKl());
    atMost(reasons, "the length of responses in tokens", length, bounds.maxLength());
    atLeast(reasons, "the length of responses in tokens", length, bounds.minLength());
    atMost(
        reasons,
        "the share of repeated 4-grams",
        metrics.getOrDefault("response/repetition", 0.0),
        bounds.maxRepetition());
    atLeast(
        reasons,
        "distinct-2 over that of the first iteration",
        metrics.getOrDefault(DISTINCT, memory.firstDistinct) / memory.firstDistinct,
        bounds.minDistinct());
    atLeast(
        reasons,
        "the entropy in nats per token",
        metrics.get("objective/entropy") / length,
        bounds.minEntropy());
    atMost(
        reasons,
        "the difference of log-probabilities between sampler and training in nats per token",
        metrics.get("policy/sampler_logprob_difference_mean"),
        bounds.maxSamplerDifference());
    return reasons;
  }

  private static void atMost(List<String> reasons, String what, double value, double bound) {
    if (value > bound) {
      reasons.add(String.format(Locale.ROOT, "%s is %.3f, above %.3f", what, value, bound));
    }
  }

  private static void atLeast(List<String> reasons, String what, double value, double bound) {
    if (value < bound) {
      reasons.add(String.format(Locale.ROOT, "%s is %.3f, below %.3f", what, value, bound));
    }
  }
}
