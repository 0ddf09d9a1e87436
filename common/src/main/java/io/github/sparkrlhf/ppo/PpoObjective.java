package io.github.sparkrlhf.ppo;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import io.github.sparkrlhf.lm.GradMode;
import io.github.sparkrlhf.lm.Replica;
import io.github.sparkrlhf.lm.ReplicaPool;
import io.github.sparkrlhf.lm.Scalars;
import io.github.sparkrlhf.lm.SequenceBatch;
import io.github.sparkrlhf.spark.JobFailure;
import io.github.sparkrlhf.training.Objective;
import java.io.Serializable;
import java.util.Arrays;
import java.util.List;

/**
 * The loss over policy and, if there is one, critic: policy + β·KL − c_e·entropy + c_v·value. It is
 * a sum over tokens, weighted as the averaging says, and divided by a count over all lanes.
 */
final class PpoObjective implements Objective<PpoExample> {
  private static final long serialVersionUID = 1L;

  // Places among the sums behind LOSS and COUNT; all but the first are sums over tokens.
  static final int POLICY_LOSS = 2;
  static final int VALUE_LOSS = 3;
  static final int ENTROPY = 4;
  static final int SQUARED_LOG_RATIO = 5;
  static final int CLIPPED = 6;
  static final int VALUE_CLIPPED = 7;
  static final int RATIO = 8;
  static final int KL = 9;
  static final int TOKENS = 10;
  private static final int SUMS = 11;

  /**
   * The KL penalty of a loss.
   *
   * @param coefficient β; 0 for no penalty in the loss
   */
  record Penalty(KlEstimator estimator, double coefficient) implements Serializable {
    private static final long serialVersionUID = 1L;

    /** No penalty. */
    static final Penalty NONE = new Penalty(KlEstimator.K2, 0);
  }

  private final PpoModels models;
  private final PpoSettings.Sampling sampling;
  private final LossSettings settings;
  private final Penalty penalty;
  private final boolean policyLearns;

  /**
   * An objective.
   *
   * @param policyLearns whether the policy has a gradient other than 0
   * @throws JobFailure if a critic's loss, a mean over tokens, were added to another mean
   */
  PpoObjective(
      PpoModels models,
      PpoSettings.Sampling sampling,
      LossSettings settings,
      Penalty penalty,
      boolean policyLearns) {
    if (models.hasCritic() && settings.averaging() != Averaging.TOKENS) {
      throw JobFailure.usage(
          "Cannot train a critic: its loss is a mean over tokens, and that of the policy over "
              + settings.averaging());
    }
    this.models = models;
    this.sampling = sampling;
    this.settings = settings;
    this.penalty = penalty;
    this.policyLearns = policyLearns;
  }

  /** The sums as the metrics of a minibatch. */
  PpoMetrics.Minibatch minibatch(double[] sums) {
    double tokens = sums[TOKENS];
    double none = Double.NaN;
    return new PpoMetrics.Minibatch(
        sums[POLICY_LOSS] / sums[COUNT],
        models.hasCritic() ? sums[VALUE_LOSS] / tokens : none,
        penalty.coefficient() > 0 ? sums[KL] / tokens : none,
        sums[ENTROPY] / tokens,
        0.5 * sums[SQUARED_LOG_RATIO] / tokens,
        sums[CLIPPED] / tokens,
        models.hasCritic() ? sums[VALUE_CLIPPED] / tokens : none,
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
    sums[TOKENS] = batch.outputs();
    sums[COUNT] = settings.averaging().count(rows.size(), batch.outputs());
    if (models.sharesTrunk()) {
      both(weights, rows, batch, gradient, sums);
      return sums;
    }
    policy(weights, rows, batch, gradient, sums);
    if (models.hasCritic()) {
      value(weights, rows, batch, gradient, sums);
      sums[LOSS] += settings.valueCoefficient() * sums[VALUE_LOSS];
    }
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
    boolean training = gradient != null && policyLearns;
    try (ReplicaPool.Lease lease = ReplicaPool.lease(models.policy(), weights, 0);
        GradMode ignored = GradMode.of(training);
        NDManager manager = lease.replica().newManager()) {
      Replica replica = lease.replica();
      TokenArrays tokens = new TokenArrays(manager, rows, sampling.maxNewTokens());
      NDArray total =
          policyLoss(
              batch.outputs(replica, manager, training), batch.labels(manager), tokens, sums);
      if (training) {
        replica.backward(total, gradient, 0);
      } else if (gradient != null) {
        Arrays.fill(gradient, 0, models.policySize(), 0);
      }
      sums[LOSS] = total.getFloat();
    }
  }

  /** Policy and critic on one trunk: one pass forward and one back. */
  private void both(
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
      TokenArrays tokens = new TokenArrays(manager, rows, sampling.maxNewTokens());
      SequenceBatch.BothOutputs outputs = batch.bothOutputs(replica, manager, training);
      NDArray policyLoss = policyLoss(outputs.logits(), batch.labels(manager), tokens, sums);
      NDArray valueLoss =
          scaled(valueLoss(outputs.scores(), tokens, sums), settings.valueCoefficient());
      if (training) {
        replica.backward(policyLearns ? policyLoss.add(valueLoss) : valueLoss, gradient, 0);
      }
      sums[LOSS] = policyLoss.getFloat() + valueLoss.getFloat();
    }
  }

  /**
   * What the policy's part of the loss is.
   *
   * @param logits {@code [tokens, vocabulary]}
   * @param sums gets its parts
   * @return a scalar
   */
  private NDArray policyLoss(NDArray logits, NDArray labels, TokenArrays tokens, double[] sums) {
    NDArray logDistribution = SequenceBatch.tempered(logits, sampling.temperature()).logSoftmax(-1);
    NDArray logProbabilities = logDistribution.gather(labels, 1).reshape(labels.size());
    NDArray old = tokens.of(PpoExample::oldLogProbabilities);
    NDArray advantages = tokens.of(PpoExample::advantages);
    NDArray ratio = ratio(logProbabilities, old, tokens);
    NDArray entropy =
        TensorLoss.entropy(
            settings.entropyCoefficient() > 0 ? logDistribution : logDistribution.stopGradient());
    NDArray loss =
        tokens.sum(TensorLoss.policy(ratio, advantages, settings.clip()), settings.averaging());
    NDArray total = loss;
    if (penalty.coefficient() > 0) {
      NDArray kl =
          TensorLoss.kl(logProbabilities, tokens.of(PpoExample::reference), penalty.estimator());
      total = total.add(scaled(tokens.sum(kl, settings.averaging()), penalty.coefficient()));
      sums[KL] = kl.sum().getFloat();
    }
    if (settings.entropyCoefficient() > 0) {
      total =
          total.sub(
              scaled(tokens.sum(entropy, settings.averaging()), settings.entropyCoefficient()));
    }
    sums[POLICY_LOSS] = loss.getFloat();
    sums[ENTROPY] = entropy.sum().getFloat();
    ratioSums(sums, ratio.stopGradient(), logProbabilities.stopGradient(), old, advantages);
    return total;
  }

  private NDArray ratio(NDArray logProbabilities, NDArray old, TokenArrays tokens) {
    return settings.ratio() == RatioLevel.TOKEN
        ? TensorLoss.ratio(logProbabilities, old)
        : TensorLoss.responseRatio(
            logProbabilities, old, tokens.shares(settings.ratio()), tokens.members());
  }

  private static NDArray scaled(NDArray loss, double coefficient) {
    return loss.mul(Scalars.of(loss.getManager(), (float) coefficient));
  }

  private void ratioSums(
      double[] sums, NDArray ratio, NDArray logProbabilities, NDArray old, NDArray advantages) {
    sums[SQUARED_LOG_RATIO] = logProbabilities.sub(old).square().sum().getFloat();
    sums[CLIPPED] = count(TensorLoss.isClipped(ratio, advantages, settings.clip()));
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
      TokenArrays tokens = new TokenArrays(manager, rows, sampling.maxNewTokens());
      NDArray loss = valueLoss(values, tokens, sums);
      if (training) {
        replica.backward(
            scaled(loss, settings.valueCoefficient()), gradient, models.criticOffset());
      }
    }
  }

  /**
   * The critic's loss, before its coefficient.
   *
   * @param values {@code [tokens]}
   * @param sums gets its parts
   * @return a scalar
   */
  private NDArray valueLoss(NDArray values, TokenArrays tokens, double[] sums) {
    NDArray old = tokens.of(PpoExample::oldValues);
    NDArray returns = tokens.of(PpoExample::returns);
    PpoLoss.Clip clip = settings.clip();
    NDArray loss = TensorLoss.value(values, old, returns, clip).sum();
    sums[VALUE_LOSS] = loss.getFloat();
    NDArray constant = values.stopGradient();
    NDArray clipped = TensorLoss.clippedSquare(constant, old, returns, clip);
    sums[VALUE_CLIPPED] = count(clipped.gt(constant.sub(returns).square()));
    return loss;
  }

  private static double count(NDArray flags) {
    int count = 0;
    for (boolean flag : flags.toBooleanArray()) {
      count += flag ? 1 : 0;
    }
    return count;
  }
}
