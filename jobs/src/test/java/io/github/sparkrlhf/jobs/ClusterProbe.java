package io.github.sparkrlhf.jobs;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.sql.SparkSession;

/**
 * A small Spark application for {@link StandaloneClusterIT}: its tasks wait for a file, then their
 * processes are counted. Ends with the exit code that it is given.
 */
public final class ClusterProbe {
  private ClusterProbe() {}

  /** Takes the file that the tasks wait for, and the exit code. */
  public static void main(String[] args) {
    String gate = args[0];
    try (SparkSession spark = SparkSession.builder().getOrCreate()) {
      JavaSparkContext context = new JavaSparkContext(spark.sparkContext());
      List<Long> processes =
          context
              .parallelize(List.of(0, 1, 2, 3), 4)
              .map(task -> processAfter(Path.of(gate)))
              .collect();
      boolean apart = !processes.contains(ProcessHandle.current().pid());
      System.out.println("probe: " + processes.size() + " tasks, outside the driver: " + apart);
    }
    System.exit(Integer.parseInt(args[1]));
  }

  private static long processAfter(Path gate) throws InterruptedException {
    while (!Files.exists(gate)) {
      TimeUnit.MILLISECONDS.sleep(50);
    }
    return ProcessHandle.current().pid();
  }
}
