package io.github.sparkrlhf.reward;

import java.io.Serializable;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.broadcast.Broadcast;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.api.java.UDF2;
import org.apache.spark.sql.functions;
import org.apache.spark.sql.types.DataTypes;

/** A reward model as a function of one row's texts, which runs on executors. */
@FunctionalInterface
public interface TextScorer extends Serializable {
  /**
   * The reward of one response; for a transformer it can differ from that of a bulk scoring in the
   * last bits.
   */
  double score(String prompt, String response);

  /** A scorer that is sent to every executor once, however many rows are scored. */
  final class OnExecutors {
    private final TextScorer scorer;
    private Broadcast<TextScorer> broadcast;

    OnExecutors(TextScorer scorer) {
      this.scorer = scorer;
    }

    /** The scorer as tasks see it. */
    synchronized TextScorer shared(JavaSparkContext context) {
      if (broadcast == null) {
        broadcast = context.broadcast(scorer);
      }
      Broadcast<TextScorer> sent = broadcast;
      return (prompt, response) -> sent.value().score(prompt, response);
    }

    /** The rows with the column {@link RewardModel#SCORE}. */
    Dataset<Row> score(Dataset<Row> rows) {
      TextScorer shared =
          shared(JavaSparkContext.fromSparkContext(rows.sparkSession().sparkContext()));
      UDF2<String, String, Double> score = shared::score;
      return rows.withColumn(
          RewardModel.SCORE,
          functions
              .udf(score, DataTypes.DoubleType)
              .apply(functions.col(RewardModel.PROMPT), functions.col(RewardModel.RESPONSE)));
    }
  }
}
