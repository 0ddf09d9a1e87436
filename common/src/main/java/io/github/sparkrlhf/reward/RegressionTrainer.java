package io.github.sparkrlhf.reward;

import io.github.sparkrlhf.spark.JobDescriptions;
import io.github.sparkrlhf.spark.JobFailure;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.storage.StorageLevel;

/**
 * Fits a model that predicts what a response is worth by itself: its share of wins in pairs, or its
 * rating.
 */
public abstract class RegressionTrainer implements RewardTrainer {
  private final String kind;

  RegressionTrainer(String kind) {
    this.kind = kind;
  }

  /**
   * {@inheritDoc}
   *
   * <p>Learns {@linkplain ResponseTargets#winShares shares of wins}.
   */
  @Override
  public RewardModel fit(Dataset<Row> pairs) {
    return fitCached(ResponseTargets.winShares(pairs), "pair");
  }

  /**
   * Fits a model to ratings; scores are in their unit.
   *
   * @param ratings rows of the table {@code ratings}, all of them from training splits
   * @param offsets what to take away from each annotator's ratings
   * @throws JobFailure of kind data quality if there is no rating
   */
  public RewardModel fitRatings(Dataset<Row> ratings, AnnotatorOffsets offsets) {
    return fitCached(ResponseTargets.ratings(ratings, offsets), "rating");
  }

  private RewardModel fitCached(Dataset<Row> targets, String unit) {
    Dataset<Row> cached = targets.persist(StorageLevel.MEMORY_AND_DISK());
    try {
      return JobDescriptions.described(
          targets.sparkSession().sparkContext(),
          "reward: fit " + kind,
          () -> {
            if (cached.isEmpty()) {
              throw JobFailure.dataQuality(
                  "Cannot fit a reward model: there is no " + unit + " to learn from");
            }
            return fitTargets(cached);
          });
    } finally {
      cached.unpersist();
    }
  }

  /**
   * Fits the model.
   *
   * @param targets of {@link ResponseTargets}: one sorted partition, cached, not empty
   */
  abstract RewardModel fitTargets(Dataset<Row> targets);
}
