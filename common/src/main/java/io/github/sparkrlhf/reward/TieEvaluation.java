package io.github.sparkrlhf.reward;

import static org.apache.spark.sql.functions.coalesce;
import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.lit;

import io.github.sparkrlhf.spark.JobDescriptions;
import io.github.sparkrlhf.tables.Table;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;

/**
 * How well a reward model's differences tell ties from preferences, per split: the mean cross
 * entropy of the three outcomes, in nats per pair.
 *
 * <ul>
 *   <li>{@code tie_log_loss_rao-kupper}, {@code tie_log_loss_davidson}: under a {@link TieModel}
 *       whose parameter and scale fit best.
 *   <li>{@code tie_log_loss_constant}: under ties that are as probable for any two responses, the
 *       rest being σ(scale · d).
 *   <li>{@code tie_parameter_…}: η or ν itself.
 * </ul>
 *
 * <p>All are fitted to the split {@code validation}, on which rewards are not too sure of
 * themselves, or else to {@code train}; {@code tie_parameter_…} names the split.
 */
public final class TieEvaluation {
  private static final List<String> FITTED_TO = List.of("validation", "train");
  private static final String LOSS = "tie_log_loss_";
  private static final String PARAMETER = "tie_parameter_";

  private TieEvaluation() {}

  /**
   * Measures a model on pairs.
   *
   * @param name what the model is called in the result
   * @param pairs rows of the table {@code pairs}; pair_id is unique
   * @return rows of the table {@code reward_metrics}; none if these splits have no ties, or nothing
   *     else
   */
  public static Dataset<Row> metrics(RewardModel model, String name, Dataset<Row> pairs) {
    Map<String, TieModel.Outcomes> splits =
        JobDescriptions.described(
            pairs.sparkSession().sparkContext(),
            "reward: ties of " + name,
            () -> outcomes(model, pairs));
    List<Row> rows = new ArrayList<>();
    FITTED_TO.stream()
        .filter(splits::containsKey)
        .filter(split -> isMixed(splits.get(split)))
        .findFirst()
        .ifPresent(fittedTo -> rows.addAll(rows(name, model, splits, fittedTo)));
    return pairs.sparkSession().createDataFrame(rows, Table.REWARD_METRICS.schemaWithoutRun());
  }

  private static boolean isMixed(TieModel.Outcomes outcomes) {
    return outcomes.tieShare() > 0 && outcomes.tieShare() < 1;
  }

  private static List<Row> rows(
      String name, RewardModel model, Map<String, TieModel.Outcomes> splits, String fittedTo) {
    TieModel.Outcomes fitted = splits.get(fittedTo);
    double share = fitted.tieShare();
    double scale = BinaryScale.fit(fitted);
    List<Row> rows = new ArrayList<>();
    splits.forEach(
        (split, outcomes) -> {
          double loss = BinaryScale.logLoss(outcomes, scale, share);
          rows.add(row(name, model, split, LOSS + "constant", loss, outcomes));
        });
    for (TieModel.Rule rule : TieModel.Rule.values()) {
      TieModel.Fit fit = TieModel.fit(rule, fitted);
      double parameter = fit.model().parameter();
      rows.add(row(name, model, fittedTo, PARAMETER + rule, parameter, fitted));
      splits.forEach(
          (split, outcomes) ->
              rows.add(row(name, model, split, LOSS + rule, fit.logLoss(outcomes), outcomes)));
    }
    return rows;
  }

  private static Row row(
      String name,
      RewardModel model,
      String split,
      String metric,
      double value,
      TieModel.Outcomes outcomes) {
    long n = outcomes.difference().length;
    return RowFactory.create(name, model.kind(), split, "all", "all", metric, value, null, null, n);
  }

  /** The outcomes of the pairs of each split, in the order of their ids: 24 bytes a pair. */
  private static Map<String, TieModel.Outcomes> outcomes(RewardModel model, Dataset<Row> pairs) {
    Dataset<Row> scored =
        PairOutcomes.scores(model, pairs)
            .join(
                pairs.select(
                    col("pair_id"),
                    col("split"),
                    col("probability"),
                    coalesce(col("tie_probability"), lit(0.0)).as("tie")),
                "pair_id")
            .select(
                col("split"),
                col("chosen_score").minus(col("rejected_score")).as("difference"),
                col("probability"),
                col("tie"),
                col("pair_id"))
            .orderBy("split", "pair_id");
    Map<String, List<double[]>> bySplit = new TreeMap<>();
    scored
        .toLocalIterator()
        .forEachRemaining(
            row ->
                bySplit
                    .computeIfAbsent(row.getString(0), split -> new ArrayList<>())
                    .add(
                        new double[] {
                          row.getDouble(1),
                          row.getDouble(2) - row.getDouble(3) / 2,
                          row.getDouble(3)
                        }));
    Map<String, TieModel.Outcomes> outcomes = new TreeMap<>();
    bySplit.forEach(
        (split, rows) ->
            outcomes.put(
                split, new TieModel.Outcomes(column(rows, 0), column(rows, 1), column(rows, 2))));
    return outcomes;
  }

  private static double[] column(List<double[]> rows, int index) {
    return rows.stream().mapToDouble(row -> row[index]).toArray();
  }

  /** Ties that do not depend on the rewards: what a tie model has to beat. */
  private static final class BinaryScale {
    private static final int ITERATIONS = 50;

    /** The scale under which the preferences are most probable, by Newton's method. */
    static double fit(TieModel.Outcomes outcomes) {
      double scale = 0;
      for (int iteration = 0; iteration < ITERATIONS; iteration++) {
        double slope = 0;
        double curvature = 1e-9;
        for (int i = 0; i < outcomes.difference().length; i++) {
          double d = outcomes.difference()[i];
          double decided = outcomes.first()[i] + outcomes.second(i);
          double p = 1 / (1 + Math.exp(-scale * d));
          slope += d * (decided * p - outcomes.first()[i]);
          curvature += d * d * decided * p * (1 - p);
        }
        // Bounded, for rewards that order all pairs as people do.
        scale -= Math.max(-1, Math.min(1, slope / curvature));
      }
      return scale;
    }

    static double logLoss(TieModel.Outcomes outcomes, double scale, double share) {
      double sum = 0;
      for (int i = 0; i < outcomes.difference().length; i++) {
        double d = scale * outcomes.difference()[i];
        double tail = Math.log1p(Math.exp(-Math.abs(d)));
        sum -=
            outcomes.first()[i] * (Math.log(1 - share) + Math.min(d, 0) - tail)
                + outcomes.second(i) * (Math.log(1 - share) + Math.min(-d, 0) - tail)
                + outcomes.tie()[i] * Math.log(share);
      }
      return sum / outcomes.difference().length;
    }
  }
}
