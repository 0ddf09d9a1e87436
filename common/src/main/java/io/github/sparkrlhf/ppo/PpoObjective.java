package io.github.sparkrlhf.ppo;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.types.Shape;
import io.github.sparkrlhf.lm.GradMode;
import io.github.sparkrlhf.lm.Replica;
import io.github.sparkrlhf.lm.ReplicaPool;
import io.github.sparkrlhf.lm.Scalars;
import io.github.sparkrlhf.lm.SequenceBatch;
import io.github.sparkrlhf.training.Objective;
import java.util.List;
import java.util.function.Function;

/**
 * PPO's loss over policy and critic: policy + c_v·value − c_e·entropy, summed over tokens and
 * divided by their count over all lanes.
 */
final class PpoObjective implements Objective<PpoExample> {
  private static final long serialVersionUID = 1L;

  // Places among the sums behind LOSS and COUNT; all are sums over tokens.
  static final int POLICY_LOSS = 2;
  static final int VALUE_LOSS = 3;
  static final int ENTROPY = 4;
  static final int SQUARED_LOG_RATIO = 5;
  static final int CLIPPED = 6;
  static final int VALUE_CLIPPED = 7;
  static final int RATIO = 8;
  private static final int SUMS = 9;

  private final PpoModels models;
  private final double temperature;
  private final PpoLoss.Clip clip;
  private final double valueCoefficient;
  private final double entropyCoefficient;

  PpoObjective(
      PpoModels models,
      double temperature,
      PpoLoss.Clip clip,
      double valueCoefficient,
      double entropyCoefficient) {
    this.models = models;
    this.temperature = temperature;
    this.clip = clip;
    this.valueCoefficient = valueCoefficient;
    this.entropyCoefficient = entropyCoefficient;
  }

  /** The sums as the metrics of a minibatch. */
  static PpoMetrics.Minibatch minibatch(double[] sums) {
    double tokens = sums[COUNT];
    return new PpoMetrics.Minibatch(
        sums[POLICY_LOSS] / tokens,
        sums[VALUE_LOSS] / tokens,
        sums[ENTROPY] / tokens,
        0.5 * sums[SQUARED_LOG_RATIO] / tokens,
        sums[CLIPPED] / tokens,
        sums[VALUE_CLIPPED] / tokens,
        sums[RATIO] / tokens);
  }

  @Override
  public int parameterCount() {
    return models.size();
  }

  @Override
  public double[] compute(float[] weights, List<PpoExample> rows, float[] gradient) {
    double[] sums = new double[SUMS];
    SequenceBatch batch = batch(rows);
    sums[COUNT] = batch.outputs();
    policy(weights, rows, batch, gradient, sums);
    value(weights, rows, batch, gradient, sums);
    sums[LOSS] =
        sums[POLICY_LOSS]
            + valueCoefficient * sums[VALUE_LOSS]
            - entropyCoefficient * sums[ENTROPY];
    return sums;
  }

  static SequenceBatch batch(List<PpoExample> rows) {
    return SequenceBatch.predictingResponses(
        rows.stream().map(PpoExample::sequence).toList(),
        rows.stream().mapToInt(row -> row.prompt().length).toArray());
  }

  private void policy(
      float[] weights,
      List<PpoExample> rows,
      SequenceBatch batch,
      float[] gradient,
      double[] sums) {
    boolean training = gradient != null;
    try (ReplicaPool.Lease lease = ReplicaPool.lease(models.policy(), weights, 0);
        GradMode ignored = GradMode.of(training);
        NDManager manager = lease.replica().newManager()) {
      Replica replica = lease.replica();
      NDArray logDistribution =
          SequenceBatch.tempered(batch.outputs(replica, manager, training), temperature)
              .logSoftmax(-1);
      NDArray logProbabilities =
          logDistribution.gather(batch.labels(manager), 1).reshape(batch.outputs());
      NDArray old = tokens(manager, rows, PpoExample::oldLogProbabilities);
      NDArray advantages = tokens(manager, rows, PpoExample::advantages);
      NDArray ratio = TensorLoss.ratio(logProbabilities, old);
      NDArray loss = TensorLoss.policy(ratio, advantages, clip).sum();
      NDArray entropy =
          TensorLoss.entropy(
                  entropyCoefficient > 0 ? logDistribution : logDistribution.stopGradient())
              .sum();
      if (training) {
        NDArray total =
            entropyCoefficient > 0
                ? loss.sub(entropy.mul(Scalars.of(manager, (float) entropyCoefficient)))
                : loss;
        replica.backward(total, gradient, 0);
      }
      sums[POLICY_LOSS] = loss.getFloat();
      sums[ENTROPY] = entropy.getFloat();
      ratioSums(sums, ratio.stopGradient(), logProbabilities.stopGradient(), old, advantages);
    }
  }

  private void ratioSums(
      double[] sums, NDArray ratio, NDArray logProbabilities, NDArray old, NDArray advantages) {
    sums[SQUARED_LOG_RATIO] = logProbabilities.sub(old).square().sum().getFloat();
    NDArray clipped = TensorLoss.clippedObjective(ratio, advantages, clip);
    sums[CLIPPED] = count(clipped.lt(advantages.mul(ratio)));
    sums[RATIO] = ratio.sum().getFloat();
  }

  private void value(
      float[] weights,
      List<PpoExample> rows,
      SequenceBatch batch,
      float[] gradient,
      double[] sums) {
    boolean training = gradient != null;
    try (ReplicaPool.Lease lease =
            ReplicaPool.lease(models.critic(), weights, models.criticOffset());
        GradMode ignored = GradMode.of(training);
        NDManager manager = lease.replica().newManager()) {
      Replica replica = lease.replica();
      NDArray values = batch.outputs(replica, manager, training).reshape(batch.outputs());
      NDArray old = tokens(manager, rows, PpoExample::oldValues);
      NDArray returns = tokens(manager, rows, PpoExample::returns);
      NDArray loss = TensorLoss.value(values, old, returns, clip).sum();
      if (training) {
        replica.backward(
            loss.mul(Scalars.of(manager, (float) valueCoefficient)),
            gradient,
            models.criticOffset());
      }
      sums[VALUE_LOSS] = loss.getFloat();
      NDArray constant = values.stopGradient();
      NDArray clipped = TensorLoss.clippedSquare(constant, old, returns, clip);
      sums[VALUE_CLIPPED] = count(clipped.gt(constant.sub(returns).square()));
    }
  }

  private static double count(NDArray flags) {
    int count = 0;
    for (boolean flag : flags.toBooleanArray()) {
      count += flag ? 1 : 0;
    }
    return count;
  }

  private static NDArray tokens(
      NDManager manager, List<PpoExample> rows, Function<PpoExample, float[]> field) {
    int size = rows.stream().mapToInt(row -> row.response().length).sum();
    float[] values = new float[size];
    int next = 0;
    for (PpoExample row : rows) {
      float[] part = field.apply(row);
      System.arraycopy(part, 0, values, next, part.length);
      next += part.length;
    }
    return manager.create(values, new Shape(size));
  }
}
