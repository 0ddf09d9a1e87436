package io.github.sparkrlhf.spark;

import java.util.function.Supplier;
import org.apache.spark.SparkContext;

/** Names the Spark jobs of a piece of work, so that a person understands them in the Spark UI. */
public final class JobDescriptions {
  private static final String KEY = "spark.job.description";

  private JobDescriptions() {}

  /**
   * Runs the work with the description on all Spark jobs that it starts from this thread, and
   * restores the description that stood there before.
   */
  public static <T> T described(SparkContext context, String description, Supplier<T> work) {
    String before = context.getLocalProperty(KEY);
    context.setJobDescription(description);
    try {
      return work.get();
    } finally {
      context.setLocalProperty(KEY, before);
    }
  }

  /** {@link #described(SparkContext, String, Supplier)} for work without a result. */
  public static void described(SparkContext context, String description, Runnable work) {
    described(
        context,
        description,
        () -> {
          work.run();
          return null;
        });
  }
}
