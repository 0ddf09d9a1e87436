package io.github.sparkrlhf.reward;

import static org.apache.spark.sql.functions.avg;
import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.signum;
import static org.apache.spark.sql.functions.when;

import io.github.sparkrlhf.spark.JobFailure;
import java.util.Arrays;
import org.apache.spark.ml.evaluation.Evaluator;
import org.apache.spark.ml.param.ParamMap;
import org.apache.spark.ml.util.DefaultParamsReader;
import org.apache.spark.ml.util.DefaultParamsWritable;
import org.apache.spark.ml.util.Identifiable$;
import org.apache.spark.ml.util.MLReader;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;

/**
 * The share of pairs that a {@link RewardModelTransformer} orders as people do, for Spark ML's
 * CrossValidator: pairs whose {@code score} is above 0, equal scores counting one half. Pairs with
 * a probability of ½ are left out; without that column all are decided.
 */
public final class PairwiseAccuracyEvaluator extends Evaluator implements DefaultParamsWritable {
  private static final long serialVersionUID = 1L;

  private final String uid;

  /** An evaluator. */
  public PairwiseAccuracyEvaluator() {
    this(Identifiable$.MODULE$.randomUID("pairwiseAccuracy"));
  }

  /** {@link #PairwiseAccuracyEvaluator()} of the given uid. */
  public PairwiseAccuracyEvaluator(String uid) {
    this.uid = uid;
  }

  @Override
  public String uid() {
    return uid;
  }

  @Override
  public double evaluate(Dataset<?> dataset) {
    Dataset<Row> rows = dataset.toDF();
    Column right = signum(col(RewardModel.SCORE)).plus(1).divide(2);
    if (Arrays.asList(rows.columns()).contains("probability")) {
      rows = rows.where("probability <> 0.5");
      right = when(col("probability").gt(0.5), right).otherwise(right.multiply(-1).plus(1));
    }
    Row share = rows.agg(avg(right)).first();
    if (share.isNullAt(0)) {
      throw JobFailure.dataQuality("Cannot evaluate a reward model: no pair is decided");
    }
    return share.getDouble(0);
  }

  @Override
  public boolean isLargerBetter() {
    return true;
  }

  @Override
  public PairwiseAccuracyEvaluator copy(ParamMap extra) {
    return defaultCopy(extra);
  }

  /** Reads what {@code write} wrote. */
  public static MLReader<PairwiseAccuracyEvaluator> read() {
    return new DefaultParamsReader<>();
  }

  /** Reads what {@code save} wrote. */
  public static PairwiseAccuracyEvaluator load(String path) {
    return read().load(path);
  }
}
