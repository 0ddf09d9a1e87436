package io.github.sparkrlhf.reward;

import static org.apache.spark.sql.functions.avg;
import static org.apache.spark.sql.functions.col;

import io.github.sparkrlhf.spark.CounterRandom;
import io.github.sparkrlhf.spark.JobDescriptions;
import io.github.sparkrlhf.tables.Table;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.types.DataTypes;

/**
 * How well a reward model orders the responses to a prompt as their mean ratings do: {@code
 * spearman} and {@code kendall} (τ-b), the mean over prompts with at least two different ratings. A
 * model that gives all responses to a prompt one score has 0 there. The 95 % interval is a
 * bootstrap over groups, so prompts that belong together count together.
 */
public final class RatingEvaluation {
  private static final int RESAMPLES = 2000;

  private RatingEvaluation() {}

  /**
   * Measures a model on ratings.
   *
   * @param name what the model is called in the result
   * @param ratings rows of the table {@code ratings}
   * @param group the column that names what is resampled, such as {@code group_key}
   * @return rows of the table {@code reward_metrics}, n being the number of prompts
   */
  public static Dataset<Row> metrics(
      RewardModel model, String name, Dataset<Row> ratings, String group) {
    Map<String, Map<String, List<double[]>>> splits =
        JobDescriptions.described(
            ratings.sparkSession().sparkContext(),
            "reward: ratings by " + name,
            () -> correlations(model, ratings, group));
    List<Row> rows = new ArrayList<>();
    splits.forEach(
        (split, groups) -> {
          List<List<double[]>> resampled = List.copyOf(groups.values());
          long prompts = resampled.stream().mapToLong(List::size).sum();
          for (int metric = 0; metric < 2; metric++) {
            double[] interval = interval(resampled, metric);
            rows.add(
                RowFactory.create(
                    name,
                    model.kind(),
                    split,
                    "all",
                    "all",
                    metric == 0 ? "spearman" : "kendall",
                    mean(resampled, metric),
                    interval[0],
                    interval[1],
                    prompts));
          }
        });
    return ratings.sparkSession().createDataFrame(rows, Table.REWARD_METRICS.schemaWithoutRun());
  }

  /** Spearman's ρ and Kendall's τ-b of each prompt, by split and group. */
  private static Map<String, Map<String, List<double[]>>> correlations(
      RewardModel model, Dataset<Row> ratings, String group) {
    Dataset<Row> responses =
        ratings
            .groupBy(col("split"), col(group).as("unit"), col("prompt"), col("response"))
            // Decimals add up to the same in any order; doubles do not.
            .agg(
                avg(col("rating").cast(DataTypes.createDecimalType(24, 12)))
                    .cast("double")
                    .as("rating"));
    Map<List<String>, List<double[]>> byPrompt = new LinkedHashMap<>();
    model
        .score(responses)
        .select("split", "unit", "prompt", "response", "rating", RewardModel.SCORE)
        .orderBy("split", "unit", "prompt", "response")
        .toLocalIterator()
        .forEachRemaining(
            row ->
                byPrompt
                    .computeIfAbsent(
                        List.of(row.getString(0), row.getString(1), row.getString(2)),
                        prompt -> new ArrayList<>())
                    .add(new double[] {row.getDouble(4), row.getDouble(5)}));
    Map<String, Map<String, List<double[]>>> splits = new TreeMap<>();
    byPrompt.forEach(
        (prompt, pairs) -> {
          double[] x = pairs.stream().mapToDouble(pair -> pair[0]).toArray();
          double[] y = pairs.stream().mapToDouble(pair -> pair[1]).toArray();
          if (Arrays.stream(x).distinct().count() > 1) {
            splits
                .computeIfAbsent(prompt.get(0), split -> new TreeMap<>())
                .computeIfAbsent(prompt.get(1), unit -> new ArrayList<>())
                .add(new double[] {RankCorrelation.spearman(x, y), RankCorrelation.kendall(x, y)});
          }
        });
    return splits;
  }

  private static double mean(List<List<double[]>> groups, int metric) {
    return groups.stream()
        .flatMap(List::stream)
        .mapToDouble(correlation -> correlation[metric])
        .average()
        .orElse(Double.NaN);
  }

  /** The 2.5 and 97.5 percentiles over samples of groups with replacement. */
  private static double[] interval(List<List<double[]>> groups, int metric) {
    CounterRandom random = new CounterRandom(0, "bootstrap of rank correlations");
    double[] means = new double[RESAMPLES];
    for (int sample = 0; sample < RESAMPLES; sample++) {
      List<List<double[]>> drawn = new ArrayList<>();
      for (int i = 0; i < groups.size(); i++) {
        drawn.add(groups.get(random.integer(groups.size(), sample, i)));
      }
      means[sample] = mean(drawn, metric);
    }
    Arrays.sort(means);
    return new double[] {means[(int) (0.025 * RESAMPLES)], means[(int) (0.975 * RESAMPLES) - 1]};
  }
}
