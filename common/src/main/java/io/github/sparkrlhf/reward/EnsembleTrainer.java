package io.github.sparkrlhf.reward;

import static org.apache.spark.sql.functions.array;
import static org.apache.spark.sql.functions.avg;
import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.count;
import static org.apache.spark.sql.functions.explode;
import static org.apache.spark.sql.functions.lit;
import static org.apache.spark.sql.functions.when;

import io.github.sparkrlhf.spark.JobDescriptions;
import io.github.sparkrlhf.spark.JobFailure;
import java.util.ArrayList;
import java.util.List;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.storage.StorageLevel;

/** Makes an {@link EnsembleModel} of models that are there, or fits its members first. */
public final class EnsembleTrainer implements RewardTrainer {
  private final List<RewardTrainer> members;
  private final EnsembleModel.Rule rule;
  private final double coefficient;

  /**
   * A trainer that fits all members to the same pairs.
   *
   * @param members at least one; {@code pairs -> model} for a model that is there
   * @param coefficient of {@link EnsembleModel.Rule#MEAN_MINUS_VARIANCE}, not negative
   */
  public EnsembleTrainer(List<RewardTrainer> members, EnsembleModel.Rule rule, double coefficient) {
    if (members.isEmpty()) {
      throw new IllegalArgumentException("an ensemble has members");
    }
    this.members = List.copyOf(members);
    this.rule = rule;
    this.coefficient = coefficient;
  }

  @Override
  public EnsembleModel fit(Dataset<Row> pairs) {
    Dataset<Row> responses =
        pairs
            .select(
                col(RewardModel.PROMPT),
                explode(array(col("chosen"), col("rejected"))).as(RewardModel.RESPONSE))
            .distinct();
    List<EnsembleModel.Member> fitted = new ArrayList<>();
    for (int i = 0; i < members.size(); i++) {
      RewardModel model = members.get(i).fit(pairs);
      int number = i;
      fitted.add(
          JobDescriptions.described(
              pairs.sparkSession().sparkContext(),
              "reward: standardise member " + number,
              () -> standardised(model, responses, number)));
    }
    return new EnsembleModel(fitted, rule, coefficient);
  }

  private static EnsembleModel.Member standardised(
      RewardModel model, Dataset<Row> responses, int number) {
    Dataset<Row> scores = model.score(responses).persist(StorageLevel.MEMORY_AND_DISK());
    try {
      return standardisedBy(scores, model, number);
    } finally {
      scores.unpersist();
    }
  }

  private static EnsembleModel.Member standardisedBy(
      Dataset<Row> scores, RewardModel model, int number) {
    Column score = col(RewardModel.SCORE);
    Column finite = score.between(-Double.MAX_VALUE, Double.MAX_VALUE);
    // Decimals add up to the same in any order; doubles do not.
    Row sums =
        scores
            .agg(
                count(lit(1)),
                count(when(finite, 1)),
                avg(score.cast(DataTypes.createDecimalType(30, 12))).cast("double"))
            .first();
    if (sums.getLong(0) == 0) {
      throw JobFailure.dataQuality(
          "Cannot standardise the members of an ensemble: there is no pair");
    }
    if (sums.getLong(0) != sums.getLong(1)) {
      throw JobFailure.failure(
          "Cannot standardise member %d of an ensemble (%s): %d of %d scores are no numbers"
              .formatted(number, model.kind(), sums.getLong(0) - sums.getLong(1), sums.getLong(0)));
    }
    double mean = sums.getDouble(2);
    Column distance = score.minus(lit(mean));
    double variance =
        scores
            .agg(
                avg(distance.multiply(distance).cast(DataTypes.createDecimalType(30, 12)))
                    .cast("double"))
            .first()
            .getDouble(0);
    return new EnsembleModel.Member(model, mean, variance > 0 ? Math.sqrt(variance) : 1);
  }
}
