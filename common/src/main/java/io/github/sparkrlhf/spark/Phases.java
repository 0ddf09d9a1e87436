package io.github.sparkrlhf.spark;

import java.io.PrintStream;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.function.Supplier;
import org.apache.spark.SparkContext;

/**
 * The phases of a long piece of work: each is named in the Spark UI and, once it is done, gets a
 * line on the console with the seconds that it took.
 */
public final class Phases {
  private final SparkContext context;
  private final PrintStream out;
  private final Map<String, Double> seconds = new LinkedHashMap<>();

  /**
   * @param out where the lines go
   */
  public Phases(SparkContext context, PrintStream out) {
    this.context = context;
    this.out = out;
  }

  /** Runs a phase. */
  public <T> T run(String name, Supplier<T> work) {
    long start = System.nanoTime();
    T result = JobDescriptions.described(context, name, work);
    double took = (System.nanoTime() - start) / 1e9;
    seconds.merge(name, took, Double::sum);
    out.printf(Locale.ROOT, "  phase %s: %.1f s%n", name, took);
    return result;
  }

  /** The seconds of each phase so far, in the order in which they ran. */
  public Map<String, Double> seconds() {
    return Map.copyOf(seconds);
  }
}
