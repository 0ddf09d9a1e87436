package io.github.sparkrlhf.spark;

import java.io.PrintStream;
import java.util.Locale;
import java.util.function.Supplier;
import org.apache.spark.SparkContext;

/**
 * The phases of a long piece of work: each is named in the Spark UI and, once it is done, gets a
 * line on the console with the seconds that it took.
 */
public final class Phases {
  private final SparkContext context;
  private final PrintStream out;

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
    out.printf(Locale.ROOT, "  phase %s: %.1f s%n", name, took);
    return result;
  }
}
