package io.github.sparkrlhf.reward;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDArrays;
import ai.djl.ndarray.NDList;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.index.NDIndex;
import ai.djl.ndarray.types.Shape;
import io.github.sparkrlhf.lm.GradMode;
import io.github.sparkrlhf.lm.Replica;
import io.github.sparkrlhf.lm.ReplicaPool;
import io.github.sparkrlhf.lm.SequenceBatch;
import io.github.sparkrlhf.lm.TransformerConfig;
import io.github.sparkrlhf.training.Objective;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * The loss of a reward model on rankings (Plackett, 1975; "ListMLE", Xia et al., 2008): the best
 * response is drawn from all with probability proportional to exp(score), the second from the rest,
 * and so on; the loss is the negative log-likelihood of that, in nats per ranking. Responses that
 * are equally good are each drawn from all that are not better (Breslow, 1974). Of two responses it
 * is the loss of a pair.
 */
public final class ListwiseObjective implements Objective<RankingExample> {
  private static final long serialVersionUID = 1L;

  /** Far below any score, and finite, so that nothing times it is nothing. */
  private static final float ABSENT = -1e9f;

  private final TransformerConfig config;

  /** The objective for a transformer with a classification head. */
  public ListwiseObjective(TransformerConfig config) {
    this.config = config;
  }

  @Override
  public int parameterCount() {
    return config.layout().size();
  }

  @Override
  public double[] compute(float[] weights, List<RankingExample> rows, float[] gradient) {
    boolean training = gradient != null;
    try (ReplicaPool.Lease lease = ReplicaPool.lease(config, weights, 0);
        GradMode ignored = GradMode.of(training);
        NDManager manager = lease.replica().newManager()) {
      Replica replica = lease.replica();
      List<int[]> sequences = new ArrayList<>();
      rows.forEach(row -> sequences.addAll(Arrays.asList(row.responses())));
      NDArray scores =
          SequenceBatch.atLastTokens(sequences)
              .outputs(replica, manager, training)
              .reshape(sequences.size());
      NDArray loss = loss(manager, rows, scores);
      if (training) {
        replica.backward(loss, gradient, 0);
      }
      return sums(rows, loss.getFloat(), scores.stopGradient().toFloatArray());
    }
  }

  /**
   * The sum of the losses.
   *
   * @param scores {@code [responses of all rankings]}
   */
  static NDArray loss(NDManager manager, List<RankingExample> rows, NDArray scores) {
    int longest = rows.stream().mapToInt(RankingExample::sequences).max().orElseThrow();
    NDArray table = table(manager, rows, scores, longest);
    NDList terms = new NDList();
    for (int start = 0; start < longest - 1; start++) {
      float[] drawn = drawn(rows, longest, start);
      NDArray rest = table.get(new NDIndex(":, {}:", start));
      terms.add(
          rest.logSoftmax(1)
              .mul(manager.create(drawn, new Shape(rows.size(), longest - start)))
              .sum());
    }
    return NDArrays.stack(terms).sum().neg();
  }

  /** The scores as {@code [rankings, longest]}, {@link #ABSENT} behind the shorter rankings. */
  private static NDArray table(
      NDManager manager, List<RankingExample> rows, NDArray scores, int longest) {
    NDList lines = new NDList();
    int first = 0;
    for (RankingExample row : rows) {
      int size = row.responses().length;
      NDArray line = scores.get(new NDIndex("{}:{}", first, first + size));
      if (size < longest) {
        float[] absent = new float[longest - size];
        Arrays.fill(absent, ABSENT);
        line = line.concat(manager.create(absent));
      }
      lines.add(line);
      first += size;
    }
    return NDArrays.stack(lines);
  }

  /**
   * 1 where a response is drawn from all from this place on, {@code [rankings, longest − start]}.
   */
  private static float[] drawn(List<RankingExample> rows, int longest, int start) {
    int width = longest - start;
    float[] drawn = new float[rows.size() * width];
    for (int row = 0; row < rows.size(); row++) {
      int[] groups = rows.get(row).groups();
      for (int place = start; place < groups.length && groups[place] == start; place++) {
        drawn[row * width + place - start] = 1;
      }
    }
    return drawn;
  }

  private static double[] sums(List<RankingExample> rows, double loss, float[] scores) {
    double decided = 0;
    double correct = 0;
    int first = 0;
    for (RankingExample row : rows) {
      int[] groups = row.groups();
      for (int better = 0; better < groups.length; better++) {
        for (int worse = better + 1; worse < groups.length; worse++) {
          if (groups[worse] > groups[better]) {
            decided++;
            correct += scores[first + better] > scores[first + worse] ? 1 : 0;
          }
        }
      }
      first += groups.length;
    }
    double[] sums = new double[PairwiseObjective.CORRECT + 1];
    sums[LOSS] = loss;
    sums[COUNT] = rows.size();
    sums[PairwiseObjective.DECIDED] = decided;
    sums[PairwiseObjective.CORRECT] = correct;
    return sums;
  }
}
