package io.github.sparkrlhf.reward;

import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.lit;
import static org.apache.spark.sql.functions.pmod;
import static org.apache.spark.sql.functions.xxhash64;

import io.github.sparkrlhf.tables.Table;
import java.util.ArrayList;
import java.util.List;
import java.util.SortedMap;
import java.util.TreeMap;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;

/**
 * How much of a model is chance of what it was trained on: one model of each half of the training
 * pairs, and how often the two agree on pairs that neither has seen. A prompt lies in one half.
 */
public final class DisjointHalves {
  private DisjointHalves() {}

  /**
   * Whether a row lies in a half, by its column {@code prompt}.
   *
   * @param half 1 or 2
   */
  public static Column contains(int half) {
    return pmod(xxhash64(col("prompt"), lit("disjoint halves")), lit(2)).equalTo(half - 1);
  }

  /**
   * Fits both models and measures them.
   *
   * @param name what the model of all pairs is called in the results
   * @param train the pairs to halve
   * @param heldOut rows of the table {@code pairs} to measure on
   * @return rows of the table {@code reward_metrics} without {@code run_id}: per split {@code
   *     half_agreement}, the share of pairs that both order alike (equal scores count one half),
   *     and {@code half_accuracy_1} and {@code _2}, the accuracy of each
   */
  public static Dataset<Row> metrics(
      RewardTrainer trainer, String name, Dataset<Row> train, Dataset<Row> heldOut) {
    RewardModel first = trainer.fit(train.where(contains(1)));
    RewardModel second = trainer.fit(train.where(contains(2)));
    List<PairOutcome> byFirst = PairOutcomes.of(first, heldOut, null);
    List<PairOutcome> bySecond = PairOutcomes.of(second, heldOut, null);
    List<Row> rows = new ArrayList<>();
    measure(byFirst, bySecond)
        .forEach(
            (split, measurements) ->
                measurements.forEach(
                    each ->
                        rows.add(
                            RowFactory.create(
                                name,
                                first.kind(),
                                split,
                                EvaluationSlice.ALL.slice(),
                                EvaluationSlice.ALL.value(),
                                each.metric(),
                                each.value(),
                                each.low(),
                                each.high(),
                                each.n()))));
    return heldOut.sparkSession().createDataFrame(rows, Table.REWARD_METRICS.schemaWithoutRun());
  }

  /** Both lists hold the same pairs in the same order. */
  private static SortedMap<String, List<Measurement>> measure(
      List<PairOutcome> first, List<PairOutcome> second) {
    SortedMap<String, double[]> sums = new TreeMap<>();
    for (int i = 0; i < first.size(); i++) {
      PairOutcome pair = first.get(i);
      double[] sum = sums.computeIfAbsent(pair.split(), split -> new double[5]);
      double ahead = pair.difference();
      double alsoAhead = second.get(i).difference();
      sum[0]++;
      sum[1] += PairOutcome.credit(Math.signum(ahead) * Math.signum(alsoAhead));
      if (pair.decided()) {
        sum[2]++;
        sum[3] += PairOutcome.credit(ahead);
        sum[4] += PairOutcome.credit(alsoAhead);
      }
    }
    SortedMap<String, List<Measurement>> measurements = new TreeMap<>();
    sums.forEach(
        (split, sum) -> {
          List<Measurement> ofSplit = new ArrayList<>();
          ofSplit.add(Measurement.share("half_agreement", sum[1], (long) sum[0]));
          if (sum[2] > 0) {
            ofSplit.add(Measurement.share("half_accuracy_1", sum[3], (long) sum[2]));
            ofSplit.add(Measurement.share("half_accuracy_2", sum[4], (long) sum[2]));
          }
          measurements.put(split, ofSplit);
        });
    return measurements;
  }
}
