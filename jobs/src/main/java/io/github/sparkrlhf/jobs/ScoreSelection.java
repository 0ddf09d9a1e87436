package io.github.sparkrlhf.jobs;

import static org.apache.spark.sql.functions.avg;
import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.count;
import static org.apache.spark.sql.functions.exp;
import static org.apache.spark.sql.functions.greatest;
import static org.apache.spark.sql.functions.lit;
import static org.apache.spark.sql.functions.max;
import static org.apache.spark.sql.functions.row_number;
import static org.apache.spark.sql.functions.sha2;
import static org.apache.spark.sql.functions.sqrt;
import static org.apache.spark.sql.functions.udf;
import static org.apache.spark.sql.functions.xxhash64;

import io.github.sparkrlhf.feedback.Splits;
import io.github.sparkrlhf.reward.BestOfN;
import io.github.sparkrlhf.spark.CounterRandom;
import io.github.sparkrlhf.spark.StableHash;
import io.github.sparkrlhf.tables.Run;
import io.github.sparkrlhf.tables.Table;
import java.io.PrintStream;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.apache.spark.api.java.function.FlatMapFunction;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Encoders;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.api.java.UDF1;
import org.apache.spark.sql.expressions.Window;
import org.apache.spark.sql.expressions.WindowSpec;
import org.apache.spark.sql.functions;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;
import picocli.CommandLine.Option;

/**
 * What is made of scores: responses to learn from, pairs to learn from, and the best-of-n curve.
 */
final class ScoreSelection {
  /** The two sides of a 95 % interval in standard errors. */
  private static final double NORMAL_95 = 1.959964;

  private static final Splits SPLITS = new Splits(0.8, 0.1, 0.1, 0);
  private static final StructType EXPECTED =
      StructType.fromDDL("n INT NOT NULL, score DOUBLE NOT NULL");

  @Option(
      names = "--best-of",
      paramLabel = "N",
      description =
          "Write the best of N responses to each prompt to the table selected, and what the best of 1 to N is worth to the table best_of_n; prompts with fewer responses are left out (default: not).")
  private Integer bestOf;

  @Option(
      names = "--rejection-sample",
      paramLabel = "BETA",
      description =
          "Write responses to the table selected, each accepted with probability exp((score - greatest score of the prompt) / BETA) (default: not).")
  private Double beta;

  @Option(
      names = "--pairs-from-scores",
      description =
          "Write the best and the worst response to each prompt to the table pairs (default: no).")
  private boolean pairs;

  @Option(
      names = "--seed",
      paramLabel = "NUMBER",
      defaultValue = "0",
      description =
          "--rejection-sample: another seed accepts other responses (default: ${DEFAULT-VALUE}).")
  private long seed;

  void validate(Given given) {
    if (bestOf != null) {
      Given.requireCount("best-of", bestOf);
      given.refuse(List.of("rejection-sample"), "--best-of fills the table selected already");
    }
    if (beta == null) {
      given.refuse(List.of("seed"), "only --rejection-sample draws random numbers");
    } else {
      Given.requirePositive("rejection-sample", beta);
    }
  }

  /**
   * Writes the tables that the options ask for.
   *
   * @param model what the scores come from
   * @return what to put into the run's summary
   */
  Map<String, Object> write(Run run, String model, PrintStream out) {
    Map<String, Object> summary = new LinkedHashMap<>();
    Dataset<Row> scores = run.rows(Table.SCORES);
    if (bestOf != null) {
      Dataset<Row> drawn = drawn(scores);
      summary.put("best_of", run.write(Table.SELECTED, best(drawn)));
      run.write(Table.BEST_OF_N, curve(scores));
      out.printf("Best of %d: %s prompts with as many responses%n", bestOf, summary.get("best_of"));
      print(run.rows(Table.BEST_OF_N).orderBy("n").collectAsList(), out);
    }
    if (beta != null) {
      summary.put("accepted", run.write(Table.SELECTED, accepted(scores)));
      out.printf("Rejection sampling accepted %s responses%n", summary.get("accepted"));
    }
    if (pairs) {
      summary.put("pairs", run.write(Table.PAIRS, extremes(scores, model)));
      out.printf("%s pairs of the best and the worst response%n", summary.get("pairs"));
    }
    return summary;
  }

  private static WindowSpec perPrompt() {
    return Window.partitionBy("prompt");
  }

  /** A fixed choice of N responses to each prompt that has as many, whatever their scores. */
  private Dataset<Row> drawn(Dataset<Row> scores) {
    return scores
        .withColumn(
            "draw", row_number().over(perPrompt().orderBy(xxhash64(col("row_id")), col("row_id"))))
        .withColumn("responses", count(lit(1)).over(perPrompt()))
        .where(col("draw").leq(bestOf).and(col("responses").geq(bestOf)));
  }

  private static Dataset<Row> best(Dataset<Row> drawn) {
    WindowSpec byScore =
        perPrompt().orderBy(col("score").desc(), xxhash64(col("row_id")), col("row_id"));
    return selected(
        drawn.withColumn("rank", row_number().over(byScore)).where("rank = 1"), "best-of-n");
  }

  private static Dataset<Row> selected(Dataset<Row> rows, String method) {
    return rows.select(
        lit(method).as("method"), col("row_id"), col("prompt"), col("response"), col("score"));
  }

  /** Statistical rejection sampling (Liu et al., 2024): what is left is π(y) · exp(score / β). */
  private Dataset<Row> accepted(Dataset<Row> scores) {
    CounterRandom random = new CounterRandom(seed, "rejection sampling");
    UDF1<String, Double> uniform = id -> random.uniform(StableHash.of(id));
    Column probability = exp(col("score").minus(max("score").over(perPrompt())).divide(beta));
    return selected(
        scores
            .withColumn("probability", probability)
            .where(udf(uniform, DataTypes.DoubleType).apply(col("row_id")).leq(col("probability"))),
        "rejection-sample");
  }

  /** The unbiased estimate for each n, over the prompts with at least N responses. */
  private Dataset<Row> curve(Dataset<Row> scores) {
    int most = bestOf;
    FlatMapFunction<Row, Row> maxima =
        row -> {
          double[] values = row.<Double>getList(0).stream().mapToDouble(d -> d).toArray();
          double[] expected = BestOfN.expectedMaxima(values, most);
          List<Row> rows = new ArrayList<>();
          for (int n = 1; n <= most; n++) {
            rows.add(RowFactory.create(n, expected[n - 1]));
          }
          return rows.iterator();
        };
    UDF1<Integer, Double> bound = BestOfN::klBound;
    // Decimals add up to the same in any order.
    Column score = col("score").cast("DECIMAL(30, 12)");
    Column square = col("score").multiply(col("score")).cast("DECIMAL(30, 12)");
    Column mean = avg(score).cast("DOUBLE");
    Column variance = avg(square).cast("DOUBLE").minus(mean.multiply(mean));
    // Of one prompt there is no error: it is 0 / 0.
    Column error =
        sqrt(greatest(lit(0.0), variance).divide(count(lit(1)).minus(1))).multiply(NORMAL_95);
    return scores
        .groupBy("prompt")
        .agg(functions.collect_list("score").as("scores"))
        .where(functions.size(col("scores")).geq(most))
        .select("scores")
        .flatMap(maxima, Encoders.row(EXPECTED))
        .groupBy("n")
        .agg(mean.as("score"), error.as("error"), count(lit(1)).as("prompts"))
        .select(
            col("n"),
            col("score"),
            col("score").minus(col("error")).as("low"),
            col("score").plus(col("error")).as("high"),
            udf(bound, DataTypes.DoubleType).apply(col("n")).as("kl_bound"),
            col("prompts"));
  }

  /** In the columns of {@code pairs}; the log-odds of the pair are the difference of the scores. */
  private static Dataset<Row> extremes(Dataset<Row> scores, String model) {
    Column highest = functions.max_by(col("response"), functions.struct("score", "row_id"));
    Column lowest = functions.min_by(col("response"), functions.struct("score", "row_id"));
    Dataset<Row> ends =
        scores
            .groupBy("prompt")
            .agg(
                highest.as("chosen"),
                lowest.as("rejected"),
                max("score").minus(functions.min("score")).as("margin"))
            .where("margin > 0")
            .withColumn("group_key", sha2(col("prompt"), 256))
            .withColumn("source", lit("scores of " + model));
    return ends.selectExpr(
            "sha2(to_json(array(prompt, chosen, rejected)), 256) AS pair_id",
            "prompt",
            "CAST(NULL AS ARRAY<STRUCT<role: STRING, content: STRING>>) AS messages",
            "chosen",
            "rejected",
            "1 / (1 + exp(-margin)) AS probability",
            "CAST(0 AS DOUBLE) AS tie_probability",
            "true AS decided",
            "CAST(1 AS DOUBLE) AS vote_share",
            "1 AS votes",
            "0 AS ties",
            "margin",
            "CAST(1 AS DOUBLE) AS weight",
            "group_key",
            "source")
        .withColumn("split", SPLITS.column(col("group_key")));
  }

  private static void print(List<Row> curve, PrintStream out) {
    List<List<String>> lines = new ArrayList<>();
    for (Row row : curve) {
      Double low = row.getAs("low");
      lines.add(
          List.of(
              row.<Integer>getAs("n").toString(),
              four(row.getAs("score")),
              low == null ? "" : four(low) + " to " + four(row.getAs("high")),
              four(row.getAs("kl_bound")),
              row.<Long>getAs("prompts").toString()));
    }
    TextTable.lines(
            List.of("n", "expected score", "95 % interval", "KL at most", "prompts"),
            lines,
            List.of(true, true, false, true, true))
        .forEach(out::println);
  }

  private static String four(double value) {
    return String.format(Locale.ROOT, "%.4f", value);
  }
}
