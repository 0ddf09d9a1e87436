package io.github.sparkrlhf.reward;

import static org.apache.spark.sql.functions.abs;
import static org.apache.spark.sql.functions.array;
import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.count;
import static org.apache.spark.sql.functions.exp;
import static org.apache.spark.sql.functions.explode;
import static org.apache.spark.sql.functions.greatest;
import static org.apache.spark.sql.functions.length;
import static org.apache.spark.sql.functions.lit;
import static org.apache.spark.sql.functions.log1p;
import static org.apache.spark.sql.functions.max;
import static org.apache.spark.sql.functions.struct;
import static org.apache.spark.sql.functions.sum;
import static org.apache.spark.sql.functions.when;

import io.github.sparkrlhf.feedback.PairAggregator;
import io.github.sparkrlhf.feedback.WilsonInterval;
import io.github.sparkrlhf.spark.JobDescriptions;
import io.github.sparkrlhf.spark.JobFailure;
import io.github.sparkrlhf.tables.Table;
import java.math.BigDecimal;
import java.util.ArrayList;
import java.util.List;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.types.DataTypes;

/**
 * How well a reward model agrees with people, per split.
 *
 * <ul>
 *   <li>{@code accuracy}: the share of decided pairs (probability other than ½) whose chosen
 *       response has the higher score; equal scores count one half. With a 95 % interval.
 *   <li>{@code accuracy_always_longer}: the same for the rule that prefers the longer response, the
 *       least that a model has to beat.
 *   <li>{@code log_loss}: the mean cross entropy between the votes and the model's probability, all
 *       pairs; ln 2 is a coin's.
 * </ul>
 */
public final class RewardEvaluation {
  private static final String DECIDED = "decided";

  /** The share of decided pairs that the model orders as people do. */
  public static final String ACCURACY = "accuracy";

  /** The mean cross entropy between votes and model. */
  public static final String LOG_LOSS = "log_loss";

  /** The accuracy of the rule that prefers the longer response. */
  public static final String ACCURACY_ALWAYS_LONGER = "accuracy_always_longer";

  private RewardEvaluation() {}

  /**
   * Measures a model on pairs.
   *
   * @param name what the model is called in the result
   * @param pairs rows of the table {@code pairs}; pair_id is unique
   * @return rows of the table {@code reward_metrics}, ordered by split; a metric without pairs is
   *     left out
   * @throws JobFailure if a score is not a finite number
   */
  public static Dataset<Row> metrics(RewardModel model, String name, Dataset<Row> pairs) {
    List<Row> sums =
        JobDescriptions.described(
            pairs.sparkSession().sparkContext(),
            "reward: evaluate " + name,
            () -> sums(model, pairs).collectAsList());
    List<Row> rows = new ArrayList<>();
    for (Row split : sums) {
      long n = split.getAs("n");
      long notFinite = split.getAs("not_finite");
      if (notFinite > 0) {
        throw JobFailure.failure(
            "Cannot evaluate reward model %s: %d of %d pairs have a score that is not a number"
                .formatted(name, notFinite, n));
      }
      long decided = split.getAs("decided");
      String of = split.getAs("split");
      if (decided > 0) {
        rows.add(accuracy(name, model, of, ACCURACY, split.getAs("right"), decided));
        rows.add(accuracy(name, model, of, ACCURACY_ALWAYS_LONGER, split.getAs("longer"), decided));
      }
      double loss = ((BigDecimal) split.getAs("loss")).doubleValue() / n;
      rows.add(RowFactory.create(name, model.kind(), of, LOG_LOSS, loss, null, null, n));
    }
    return pairs.sparkSession().createDataFrame(rows, Table.REWARD_METRICS.schemaWithoutRun());
  }

  private static Row accuracy(
      String name, RewardModel model, String split, String metric, double right, long n) {
    WilsonInterval interval = WilsonInterval.of(right, n);
    return RowFactory.create(
        name, model.kind(), split, metric, right / n, interval.low(), interval.high(), n);
  }

  private static Dataset<Row> sums(RewardModel model, Dataset<Row> pairs) {
    Column margin = col("chosen_score").minus(col("rejected_score"));
    Column lengths = length(col("chosen")).minus(length(col("rejected")));
    Column decided = col(DECIDED);
    // ln(1 + exp(-|m|)) does not overflow.
    Column tail = log1p(exp(abs(margin).multiply(-1)));
    Column softplus = greatest(margin, lit(0.0)).plus(tail);
    Column loss = softplus.minus(col("probability").multiply(margin));
    Column finite = margin.isNotNull().and(margin.between(-Double.MAX_VALUE, Double.MAX_VALUE));
    return scored(model, pairs)
        .groupBy("split")
        .agg(
            count(lit(1)).as("n"),
            sum(when(finite, 0L).otherwise(1L)).as("not_finite"),
            sum(when(decided, 1L).otherwise(0L)).as("decided"),
            sum(when(decided, agreement(margin)).otherwise(0.0)).as("right"),
            sum(when(decided, agreement(lengths)).otherwise(0.0)).as("longer"),
            // Decimals add up to the same sum in any order; doubles do not.
            sum(loss.cast(DataTypes.createDecimalType(28, 12))).as("loss"))
        .orderBy("split");
  }

  /** 1, ½ or 0 for a pair in which the chosen response is ahead, level or behind. */
  private static Column agreement(Column difference) {
    Column chosenIsMoreProbable = col("probability").gt(0.5);
    Column ahead = when(chosenIsMoreProbable, difference).otherwise(difference.multiply(-1));
    return when(ahead.gt(0), 1.0).when(ahead.equalTo(0), 0.5).otherwise(0.0);
  }

  /**
   * Both responses of all pairs go through the model in one pass.
   *
   * @return pair_id, split, chosen, rejected, probability, decided, chosen_score, rejected_score
   */
  static Dataset<Row> scored(RewardModel model, Dataset<Row> pairs) {
    Column sides =
        array(
            struct(lit(true).as("is_chosen"), col("chosen").as(RewardModel.RESPONSE)),
            struct(lit(false).as("is_chosen"), col("rejected").as(RewardModel.RESPONSE)));
    Dataset<Row> responses =
        pairs
            .select(col("pair_id"), col(RewardModel.PROMPT), explode(sides).as("side"))
            .select("pair_id", RewardModel.PROMPT, "side.is_chosen", "side.response");
    Column score = col(RewardModel.SCORE);
    Dataset<Row> scores =
        model
            .score(responses)
            .groupBy("pair_id")
            .agg(
                max(when(col("is_chosen"), score)).as("chosen_score"),
                max(when(col("is_chosen").equalTo(false), score)).as("rejected_score"));
    return pairs
        .withColumn(DECIDED, PairAggregator.isDecided(pairs))
        .select("pair_id", "split", "chosen", "rejected", "probability", DECIDED)
        .join(scores, "pair_id");
  }
}
