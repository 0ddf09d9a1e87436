package io.github.sparkrlhf.ppo;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.Supplier;

/** How fast an iteration was, and what is told of it while the training runs. */
public final class IterationReport {
  /** What the names of metrics begin with that say how long a phase took. */
  private static final String SECONDS = "seconds/";

  /** What the names of metrics begin with that say which share of an iteration a phase took. */
  private static final String SHARE = "share/";

  /** Responses per second, as {@code trl} names it. */
  private static final String SPEED = "eps";

  private IterationReport() {}

  /** Runs a phase of an iteration and records its seconds. */
  static <T> T timed(Map<String, Double> metrics, String phase, Supplier<T> work) {
    long startedNanos = System.nanoTime();
    T result = work.get();
    metrics.put(SECONDS + phase, (System.nanoTime() - startedNanos) / 1e9);
    return result;
  }

  /**
   * Adds responses per second, and which share of the iteration each phase took.
   *
   * @param seconds of the whole iteration
   */
  static void addSpeed(Map<String, Double> metrics, int responses, double seconds) {
    Map<String, Double> shares = new LinkedHashMap<>();
    metrics.forEach(
        (name, value) -> {
          if (name.startsWith(SECONDS)) {
            shares.put(SHARE + name.substring(SECONDS.length()), value / seconds);
          }
        });
    metrics.putAll(shares);
    metrics.put(SPEED, responses / seconds);
  }

  /** Whether a metric is about how long something took, and so never twice the same. */
  public static boolean isTiming(String metric) {
    return metric.equals(SPEED) || metric.startsWith(SECONDS) || metric.startsWith(SHARE);
  }

  /** The line that a person reads while the training runs. */
  static String line(Map<String, Double> metrics) {
    StringBuilder line = new StringBuilder();
    append(line, metrics, "score %.3f", "objective/raw_scores");
    append(line, metrics, ", watcher %.3f", Watchdog.WATCHED);
    append(line, metrics, ", KL %.3f nats", "objective/kl");
    append(line, metrics, ", length %.1f", "response/length_mean");
    append(line, metrics, ", value loss %.3f", "loss/value_avg");
    if (metrics.containsKey("policy/clipfrac_avg")) {
      line.append(
          String.format(
              Locale.ROOT, ", clipped %.1f %%", 100 * metrics.get("policy/clipfrac_avg")));
    }
    String separator = "; ";
    for (String phase : List.of("sampling", "networks", "scoring", "update")) {
      append(line, metrics, separator + phase + " %.1f s", SECONDS + phase);
      separator = ", ";
    }
    return line.toString();
  }

  /** Appends a metric that the iteration has. */
  private static void append(
      StringBuilder line, Map<String, Double> metrics, String format, String metric) {
    if (metrics.containsKey(metric)) {
      line.append(String.format(Locale.ROOT, format, metrics.get(metric)));
    }
  }
}
