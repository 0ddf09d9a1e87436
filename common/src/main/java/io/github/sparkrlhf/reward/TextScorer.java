package io.github.sparkrlhf.reward;

import java.io.Serializable;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.broadcast.Broadcast;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.api.java.UDF2;
import org.apache.spark.sql.functions;
import org.apache.spark.sql.types.DataTypes;

/** The reward of one (prompt, response) on its own: what executors get of most kinds. */
interface TextScorer extends Serializable {
  /** The reward of a response. */
  double score(String prompt, String response);

  /** A scorer that is sent to every executor once, however many rows are scored. */
  final class OnExecutors {
    private final TextScorer scorer;
    private Broadcast<TextScorer> broadcast;

    OnExecutors(TextScorer scorer) {
      this.scorer = scorer;
    }

    /** The rows with the column {@link RewardModel#SCORE}. */
    Dataset<Row> score(Dataset<Row> rows) {
      Broadcast<TextScorer> shared = broadcast(rows);
      UDF2<String, String, Double> score =
          (prompt, response) -> shared.value().score(prompt, response);
      return rows.withColumn(
          RewardModel.SCORE,
          functions
              .udf(score, DataTypes.DoubleType)
              .apply(functions.col(RewardModel.PROMPT), functions.col(RewardModel.RESPONSE)));
    }

    private synchronized Broadcast<TextScorer> broadcast(Dataset<Row> rows) {
      if (broadcast == null) {
        broadcast =
            JavaSparkContext.fromSparkContext(rows.sparkSession().sparkContext()).broadcast(scorer);
      }
      return broadcast;
    }
  }
}
