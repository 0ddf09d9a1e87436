package io.github.sparkrlhf.jobs;

import static org.apache.spark.sql.functions.col;

import io.github.sparkrlhf.feedback.GoldReward;
import io.github.sparkrlhf.feedback.WilsonInterval;
import io.github.sparkrlhf.reward.BestOfN;
import io.github.sparkrlhf.spark.Sessions;
import io.github.sparkrlhf.tables.Tables;
import java.awt.BasicStroke;
import java.awt.Color;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import java.util.stream.Stream;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.knowm.xchart.BitmapEncoder;
import org.knowm.xchart.XYChart;
import org.knowm.xchart.XYChartBuilder;
import org.knowm.xchart.XYSeries;
import org.knowm.xchart.style.Styler.LegendPosition;
import org.knowm.xchart.style.markers.SeriesMarkers;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/**
 * What the responses of runs of {@code ppo} are really worth, iteration by iteration, against the
 * square root of their KL; and beside it the best of n responses of the policy that they began
 * with. The judge is one that no reward model has learned from.
 */
@Command(
    name = "policy-curves",
    description = "Judges the rollouts of runs of ppo, and draws their worth against sqrt(KL).",
    mixinStandardHelpOptions = true)
final class PolicyCurves implements Callable<Integer> {
  private static final int LARGEST_N = 256;

  /** Distinct-2 depends on how many responses there are; runs with other numbers are compared. */
  private static final int RESPONSES = 128;

  private static final int DRAWS = 50;

  @Option(names = "--warehouse", required = true, description = "Where the tables are.")
  private Path warehouse;

  @Option(
      names = "--run",
      required = true,
      split = ",",
      description = "Runs of ppo, each as ID or ID=NAME to be drawn with.")
  private List<String> runs;

  @Option(
      names = "--judge",
      required = true,
      description = "reviews: share of positive ones; gold: the quickstart's gold reward.")
  private String judge;

  @Option(
      names = "--samples",
      description = "Run of rollout with many responses of the policy before, for the best of n.")
  private String samples;

  @Option(names = "--scores", description = "Run of score with the scores of --samples.")
  private String scores;

  @Option(
      names = "--after",
      split = ",",
      defaultValue = "",
      description = "Runs of rollout of the policies after, judged beside --samples.")
  private List<String> after;

  @Option(names = "--proxy", description = "Draw the proxy (objective/scores), too.")
  private boolean proxy;

  @Option(names = "--plot", required = true, description = "PNG file to write, without .png.")
  private Path plot;

  private record Point(
      int iteration, double kl, double worth, double proxy, double distinct, double count) {}

  private SparkSession spark;
  private ReviewJudge reviews;

  public static void main(String[] arguments) {
    System.exit(new CommandLine(new PolicyCurves()).execute(arguments));
  }

  @Override
  public Integer call() throws IOException {
    if (!List.of("reviews", "gold").contains(judge)) {
      throw new IllegalArgumentException("--judge is neither reviews nor gold: " + judge);
    }
    spark = Sessions.withCatalog(Sessions.open("local[2]"), "rlhf", warehouse.toString());
    Tables.open(spark, "rlhf", "rlhf").registerViews();
    reviews = judge.equals("reviews") ? new ReviewJudge(spark) : null;
    XYChart chart =
        new XYChartBuilder()
            .width(760)
            .height(480)
            .xAxisTitle("√KL to the policy before, nats per response")
            .yAxisTitle(reviews == null ? "gold reward" : "share of positive responses")
            .build();
    chart.getStyler().setLegendPosition(LegendPosition.OutsideS).setMarkerSize(6);
    chart.getStyler().setChartBackgroundColor(Color.WHITE);
    for (String run : runs) {
      String name = run.replaceFirst(".*=", "");
      List<Point> points = points(run.replaceFirst("=.*", ""));
      print(name, points);
      add(chart, name, points, false);
      if (proxy) {
        add(chart, name + ", what the reward model says", points, true);
      }
    }
    if (samples != null) {
      addBestOfN(chart);
      printSelection();
      printAfter();
    }
    BitmapEncoder.saveBitmapWithDPI(chart, plot.toString(), BitmapEncoder.BitmapFormat.PNG, 100);
    return 0;
  }

  private Dataset<Row> judged(Dataset<Row> responses) {
    return reviews == null
        ? responses.withColumn("worth", GoldReward.column(col("prompt"), col("response")))
        : reviews.judged(responses).withColumnRenamed("positive", "worth");
  }

  private List<Point> points(String run) {
    Map<Integer, Map<String, Double>> metrics = new HashMap<>();
    for (Row row : spark.table("ppo_metrics").filter(col("run_id").equalTo(run)).collectAsList()) {
      metrics
          .computeIfAbsent(row.<Integer>getAs("iteration"), any -> new HashMap<>())
          .put(row.getAs("metric"), row.<Double>getAs("value"));
    }
    List<Point> points = new ArrayList<>();
    Map<Integer, List<Row>> byIteration = new TreeMap<>();
    for (Row row :
        judged(spark.table("rollouts").filter(col("run_id").equalTo(run)))
            .select("worth", "response_tokens", "iteration")
            .collectAsList()) {
      byIteration.computeIfAbsent(row.getInt(2), any -> new ArrayList<>()).add(row);
    }
    byIteration.forEach(
        (iteration, rows) ->
            points.add(
                new Point(
                    iteration,
                    metrics.get(iteration).get("objective/kl"),
                    worth(rows),
                    metrics.get(iteration).get("objective/scores"),
                    distinct(rows),
                    rows.size())));
    return points;
  }

  private void print(String run, List<Point> points) {
    double distinct = points.get(0).distinct();
    System.out.printf("%n%s%niteration    KL   worth   interval        proxy  distinct-2%n", run);
    for (Point point : points) {
      WilsonInterval interval =
          reviews == null
              ? null
              : WilsonInterval.of(point.worth() * point.count(), (long) point.count());
      System.out.printf(
          Locale.ROOT,
          "%9d %5.2f  %6.3f   %s  %6.3f  %.3f = %.2f of the first%n",
          point.iteration(),
          point.kl(),
          point.worth(),
          interval == null ? "" : "%.3f to %.3f".formatted(interval.low(), interval.high()),
          point.proxy(),
          point.distinct(),
          point.distinct() / distinct);
    }
  }

  private static void add(XYChart chart, String name, List<Point> points, boolean ofProxy) {
    XYSeries series =
        chart.addSeries(
            name,
            points.stream().mapToDouble(point -> Math.sqrt(Math.max(0, point.kl()))).toArray(),
            points.stream().mapToDouble(ofProxy ? Point::proxy : Point::worth).toArray());
    series.setMarker(SeriesMarkers.CIRCLE);
    series.setLineStyle(
        ofProxy
            ? new BasicStroke(
                1, BasicStroke.CAP_ROUND, BasicStroke.JOIN_ROUND, 1, new float[] {5}, 0)
            : new BasicStroke(1.5f));
  }

  /** Σᵢ C(i − 1, n − 1) / C(N, n) · worth of the i-th by score, the mean over prompts. */
  private void addBestOfN(XYChart chart) {
    Dataset<Row> scored =
        spark.table("scores").filter(col("run_id").equalTo(scores)).select("row_id", "score");
    Dataset<Row> responses =
        judged(
            spark
                .table("rollouts")
                .filter(col("run_id").equalTo(samples))
                .select("rollout_id", "prompt", "response"));
    Map<String, List<Double>> byPrompt = new LinkedHashMap<>();
    for (Row row :
        responses
            .join(scored, col("row_id").equalTo(col("rollout_id")))
            .orderBy("prompt", "score", "rollout_id")
            .select("prompt", "worth")
            .collectAsList()) {
      byPrompt.computeIfAbsent(row.getString(0), any -> new ArrayList<>()).add(row.getDouble(1));
    }
    int most =
        Math.min(LARGEST_N, byPrompt.values().stream().mapToInt(List::size).min().orElseThrow());
    List<Double> x = new ArrayList<>();
    List<Double> y = new ArrayList<>();
    System.out.printf("%nbest of n%n    n  KL at most   worth%n");
    for (int n = 1; n <= most; n *= 2) {
      double worth = 0;
      for (List<Double> ascending : byPrompt.values()) {
        worth += expected(ascending, n) / byPrompt.size();
      }
      x.add(Math.sqrt(BestOfN.klBound(n)));
      y.add(worth);
      System.out.printf(Locale.ROOT, "%5d  %10.3f  %6.3f%n", n, BestOfN.klBound(n), worth);
    }
    chart.addSeries("best of n", x, y).setMarker(SeriesMarkers.DIAMOND).setLineColor(Color.GRAY);
  }

  /**
   * What an optimiser could do at best: the responses of the policy before that have the highest
   * scores, whose KL to it is −ln of their share.
   */
  private void printSelection() {
    Dataset<Row> scored =
        spark.table("scores").filter(col("run_id").equalTo(scores)).select("row_id", "score");
    List<Row> descending =
        judged(
                spark
                    .table("rollouts")
                    .filter(col("run_id").equalTo(samples))
                    .select("rollout_id", "prompt", "response", "response_tokens"))
            .join(scored, col("row_id").equalTo(col("rollout_id")))
            .orderBy(col("score").desc(), col("rollout_id"))
            .select("worth", "response_tokens")
            .collectAsList();
    System.out.printf("%nselection of the best%nshare    KL   worth  distinct-2, of that of all%n");
    double all = distinct(descending);
    for (double share : new double[] {1, 0.5, 0.3, 0.2, 0.15, 0.1, 0.05}) {
      List<Row> best = descending.subList(0, (int) (share * descending.size()));
      System.out.printf(
          Locale.ROOT,
          "%5.2f  %4.2f  %6.3f  %.2f%n",
          share,
          -Math.log(share),
          worth(best),
          distinct(best) / all);
    }
  }

  /** More responses of the same policies than an iteration has: narrower intervals. */
  private void printAfter() {
    System.out.printf("%nresponses of%n");
    double before = Double.NaN;
    for (String run : Stream.concat(Stream.of(samples), after.stream()).toList()) {
      List<Row> rows =
          judged(spark.table("rollouts").filter(col("run_id").equalTo(run)))
              .orderBy("rollout_id")
              .select("worth", "response_tokens")
              .collectAsList();
      if (rows.isEmpty()) {
        continue;
      }
      double distinct = distinct(rows);
      before = Double.isNaN(before) ? distinct : before;
      WilsonInterval interval = WilsonInterval.of(worth(rows) * rows.size(), rows.size());
      System.out.printf(
          Locale.ROOT,
          "%-20s %5d  %6.3f  %.3f to %.3f  distinct-2 %.3f = %.3f of that before%n",
          run,
          rows.size(),
          worth(rows),
          interval.low(),
          interval.high(),
          distinct,
          distinct / before);
    }
  }

  private static double worth(List<Row> rows) {
    return rows.stream().mapToDouble(row -> row.getDouble(0)).average().orElseThrow();
  }

  /** Distinct-2 of as many responses as {@link #RESPONSES}, the mean of some draws. */
  private static double distinct(List<Row> rows) {
    Random random = new Random(1);
    double sum = 0;
    for (int draw = 0; draw < DRAWS; draw++) {
      Set<List<Integer>> pairs = new HashSet<>();
      long total = 0;
      List<Row> shuffled = new ArrayList<>(rows);
      Collections.shuffle(shuffled, random);
      for (Row row : shuffled.subList(0, Math.min(RESPONSES, shuffled.size()))) {
        List<Integer> tokens = row.getList(1);
        for (int at = 1; at < tokens.size(); at++) {
          pairs.add(List.of(tokens.get(at - 1), tokens.get(at)));
          total++;
        }
      }
      sum += (double) pairs.size() / total / DRAWS;
    }
    return sum;
  }

  private static double expected(List<Double> ascending, int n) {
    int count = ascending.size();
    // The weight of the best, n / N; those below follow from C(i − 2, n − 1) / C(i − 1, n − 1).
    double weight = (double) n / count;
    double sum = 0;
    for (int i = count; i >= n; i--) {
      sum += weight * ascending.get(i - 1);
      weight *= i == 1 ? 0 : (double) (i - n) / (i - 1);
    }
    return sum;
  }
}
