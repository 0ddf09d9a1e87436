package io.github.sparkrlhf.jobs;

import static org.apache.spark.sql.functions.col;

import io.github.sparkrlhf.feedback.GoldReward;
import io.github.sparkrlhf.feedback.SimulatedLog;
import java.io.PrintStream;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;

/** What the quickstart did, held against the truth that its log was made from. */
final class QuickstartSummary {
  /** Half the width of a 95 % interval in standard errors. */
  private static final double NORMAL_95 = 1.959964;

  private static final int SAMPLES = 5;

  private final SparkSession spark;
  private final SimulatedLog log;
  private final Path directory;
  private final int iterations;
  private final List<List<String>> lines = new ArrayList<>();

  QuickstartSummary(SparkSession spark, SimulatedLog log, Path directory, int iterations) {
    this.spark = spark;
    this.log = log;
    this.directory = directory;
    this.iterations = iterations;
  }

  void print(PrintStream out, double minutes) {
    tables();
    quarantine();
    rewards();
    policy();
    out.println();
    out.printf(Locale.ROOT, "Summary (%.1f minutes)%n", minutes);
    TextTable.lines(List.of("what", "value"), lines, List.of(false, false)).forEach(out::println);
    samples(out);
    out.println();
    out.println("Tables in " + directory.resolve("warehouse") + ", models in " + directory);
    out.println("Three queries to try:");
    for (String query : queries()) {
      out.println(
          "  java -jar jobs/target/spark-rlhf.jar sql --warehouse "
              + directory.resolve("warehouse")
              + " \""
              + query
              + "\"");
    }
  }

  private static List<String> queries() {
    return List.of(
        "SELECT reason, count(*) FROM quarantine GROUP BY reason",
        "SELECT iteration, round(value, 3) AS kl FROM ppo_metrics WHERE metric = 'objective/kl' ORDER BY iteration",
        "SELECT iteration, prompt, response, round(score, 2) AS score FROM rollouts ORDER BY score DESC LIMIT 10");
  }

  private void tables() {
    for (String table :
        List.of("comparisons", "pairs", "quarantine", "scores", "rollouts", "ppo_metrics")) {
      add("rows in " + table, String.format(Locale.ROOT, "%,d", spark.table(table).count()));
    }
  }

  private void quarantine() {
    for (Row row :
        spark
            .table("quarantine")
            .filter("run_id = 'pairs'")
            .groupBy("reason")
            .count()
            .orderBy("reason")
            .collectAsList()) {
      add("quarantined: " + row.getString(0), Long.toString(row.getLong(1)));
    }
    log.flaws().forEach((flaw, rows) -> add("planted: " + flaw, rows.toString()));
  }

  private void rewards() {
    for (Row row :
        spark
            .table("reward_metrics")
            .filter(
                "split = 'test' AND slice = 'all' AND metric IN ('accuracy', 'accuracy_always_longer') AND model IN ('bradley-terry', 'transformer')")
            .select("kind", "metric", "value", "low", "high", "n")
            .orderBy("metric", "kind")
            .collectAsList()) {
      boolean longer = row.getString(1).endsWith("always_longer");
      if (longer && row.getString(0).equals("transformer")) {
        continue;
      }
      add(
          "accuracy on test pairs, " + (longer ? "always the longer" : row.getString(0)),
          String.format(
              Locale.ROOT,
              "%.3f (%.3f to %.3f, %d pairs)",
              row.getDouble(2),
              row.getDouble(3),
              row.getDouble(4),
              row.getLong(5)));
    }
    double ceiling =
        SimulatedLog.ceiling(spark.table("pairs").filter("run_id = 'pairs' AND split = 'test'"));
    add(
        "accuracy on test pairs, gold reward (ceiling)",
        String.format(Locale.ROOT, "%.3f", ceiling));
  }

  private void policy() {
    add("gold reward before PPO", gold(0));
    add("gold reward after PPO", gold(iterations));
    add("gold reward at best", String.format(Locale.ROOT, "%.2f", GoldReward.MAXIMUM));
    add(
        "KL to the policy before, nats per response",
        String.format(Locale.ROOT, "%.2f", mean("kl", iterations)));
  }

  private void samples(PrintStream out) {
    for (int iteration : new int[] {0, iterations}) {
      out.println();
      out.println("Responses " + (iteration == 0 ? "before" : "after") + " PPO:");
      for (Row row : rollouts(iteration).orderBy("rollout_id").limit(SAMPLES).collectAsList()) {
        out.println("  " + row.getAs("prompt") + " → " + row.getAs("response"));
      }
    }
  }

  private double mean(String column, int iteration) {
    return rollouts(iteration).selectExpr("avg(" + column + ")").first().getDouble(0);
  }

  private String gold(int iteration) {
    Row row =
        rollouts(iteration)
            .select(GoldReward.column(col("prompt"), col("response")).as("gold"))
            .selectExpr("avg(gold)", "stddev(gold)", "count(*)")
            .first();
    double half = NORMAL_95 * row.getDouble(1) / Math.sqrt((double) row.getLong(2));
    return String.format(
        Locale.ROOT,
        "%.2f (%.2f to %.2f, %d responses)",
        row.getDouble(0),
        row.getDouble(0) - half,
        row.getDouble(0) + half,
        row.getLong(2));
  }

  private Dataset<Row> rollouts(int iteration) {
    return spark.table("rollouts").filter("run_id = 'ppo' AND iteration = " + iteration);
  }

  private void add(String what, String value) {
    lines.add(List.of(what, value));
  }
}
