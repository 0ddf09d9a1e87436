package io.github.sparkrlhf.jobs;

import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.lit;
import static org.apache.spark.sql.functions.when;

import io.github.sparkrlhf.reward.RewardModel;
import io.github.sparkrlhf.reward.RewardTrainer;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;

/** What a row of the table {@code pairs} is taken to say about its chosen response. */
enum PairLabels {
  /** The probability that it is the better one, as the votes and what is known of voters say. */
  PROBABILITY("probability"),
  /** The share of the votes that it has. */
  VOTE_SHARE("vote-share"),
  /** 1 if it has most votes, 0 if the other one has, ½ if neither has. */
  MAJORITY("majority");

  private final String label;

  PairLabels(String label) {
    this.label = label;
  }

  /** The pairs with this in the column {@code probability}. */
  Dataset<Row> of(Dataset<Row> pairs) {
    Column share = col("vote_share");
    return switch (this) {
      case PROBABILITY -> pairs;
      case VOTE_SHARE -> pairs.withColumn("probability", share);
      case MAJORITY ->
          pairs.withColumn(
              "probability",
              when(share.gt(0.5), lit(1.0)).when(share.equalTo(0.5), 0.5).otherwise(0.0));
    };
  }

  /** A trainer that learns from pairs with these labels. */
  RewardTrainer learnedBy(RewardTrainer trainer) {
    return new RewardTrainer() {
      @Override
      public RewardModel fit(Dataset<Row> pairs) {
        return trainer.fit(of(pairs));
      }

      @Override
      public Dataset<Row> prepare(Dataset<Row> pairs) {
        return trainer.prepare(pairs);
      }
    };
  }

  @Override
  public String toString() {
    return label;
  }
}
