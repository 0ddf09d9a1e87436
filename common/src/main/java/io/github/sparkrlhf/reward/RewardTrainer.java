package io.github.sparkrlhf.reward;

import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;

/**
 * Fits reward models of one kind with one configuration. Cross-validation fits one for each fold,
 * so fitting twice must be possible, and the same pairs give the same bits whatever their order and
 * partitioning.
 */
@FunctionalInterface
public interface RewardTrainer {
  /**
   * Fits a model.
   *
   * @param pairs columns of the table {@code pairs}, all of them from training splits: pair_id
   *     (unique), prompt, chosen, rejected and probability; a kind may want more
   * @throws io.github.sparkrlhf.spark.JobFailure of kind data quality if there is no pair
   */
  RewardModel fit(Dataset<Row> pairs);

  /**
   * Adds what {@link #fit} would compute of each text by itself, as columns that it uses if they
   * are there: fits on parts of the same pairs then need not compute it again. Nothing that is
   * learned from pairs is among it.
   *
   * @param pairs as for {@link #fit}
   */
  default Dataset<Row> prepare(Dataset<Row> pairs) {
    return pairs;
  }
}
