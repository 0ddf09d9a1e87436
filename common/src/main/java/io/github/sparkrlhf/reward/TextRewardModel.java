package io.github.sparkrlhf.reward;

import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.broadcast.Broadcast;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.api.java.UDF2;
import org.apache.spark.sql.functions;
import org.apache.spark.sql.types.DataTypes;

/**
 * A reward model that scores each row by itself. Its scorer is sent to every executor once, however
 * many rows are scored.
 */
abstract class TextRewardModel implements RewardModel {
  private final TextScorer scorer;
  private Broadcast<TextScorer> broadcast;

  TextRewardModel(TextScorer scorer) {
    this.scorer = scorer;
  }

  /** The reward of one response. */
  public final double score(String prompt, String response) {
    return scorer.score(prompt, response);
  }

  @Override
  public final synchronized TextScorer scorer(JavaSparkContext context) {
    if (broadcast == null) {
      broadcast = context.broadcast(scorer);
    }
    Broadcast<TextScorer> sent = broadcast;
    return (prompt, response) -> sent.value().score(prompt, response);
  }

  @Override
  public final Dataset<Row> score(Dataset<Row> rows) {
    TextScorer shared =
        scorer(JavaSparkContext.fromSparkContext(rows.sparkSession().sparkContext()));
    UDF2<String, String, Double> score = shared::score;
    return rows.withColumn(
        SCORE,
        functions
            .udf(score, DataTypes.DoubleType)
            .apply(functions.col(PROMPT), functions.col(RESPONSE)));
  }
}
