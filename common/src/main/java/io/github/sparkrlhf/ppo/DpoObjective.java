package io.github.sparkrlhf.ppo;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDList;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.types.Shape;
import ai.djl.nn.Activation;
import io.github.sparkrlhf.lm.GradMode;
import io.github.sparkrlhf.lm.Replica;
import io.github.sparkrlhf.lm.ReplicaPool;
import io.github.sparkrlhf.lm.Scalars;
import io.github.sparkrlhf.lm.SequenceBatch;
import io.github.sparkrlhf.lm.TransformerConfig;
import io.github.sparkrlhf.training.Objective;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;

/**
 * The loss of direct preference optimisation over the weights of a policy, summed over pairs and
 * divided by their count; see {@link DpoSettings}.
 */
public final class DpoObjective implements Objective<DpoExample> {
  private static final long serialVersionUID = 1L;

  // Places among the sums behind LOSS and COUNT; all are sums over pairs.
  static final int CHOSEN_REWARD = 2;
  static final int REJECTED_REWARD = 3;
  static final int DECIDED = 4;
  static final int CORRECT = 5;
  static final int CHOSEN_LOG_PROBABILITY = 6;
  static final int REJECTED_LOG_PROBABILITY = 7;
  private static final int SUMS = 8;

  private final TransformerConfig config;
  private final DpoSettings settings;

  DpoObjective(TransformerConfig config, DpoSettings settings) {
    this.config = config;
    this.settings = settings;
  }

  /**
   * Sums as metrics under their usual names: loss, rewards and their margin (β·(log π − log π_ref)
   * of whole responses), the share of decided pairs whose chosen response has the higher reward,
   * and the responses' log-probabilities. The share is left out where no pair is decided.
   */
  public static Map<String, Double> metrics(List<Double> sums) {
    double pairs = sums.get(COUNT);
    Map<String, Double> metrics = new LinkedHashMap<>();
    metrics.put("loss", sums.get(LOSS) / pairs);
    metrics.put("rewards/chosen", sums.get(CHOSEN_REWARD) / pairs);
    metrics.put("rewards/rejected", sums.get(REJECTED_REWARD) / pairs);
    metrics.put("rewards/margins", (sums.get(CHOSEN_REWARD) - sums.get(REJECTED_REWARD)) / pairs);
    if (sums.get(DECIDED) > 0) {
      metrics.put("rewards/accuracies", sums.get(CORRECT) / sums.get(DECIDED));
    }
    metrics.put("logps/chosen", sums.get(CHOSEN_LOG_PROBABILITY) / pairs);
    metrics.put("logps/rejected", sums.get(REJECTED_LOG_PROBABILITY) / pairs);
    return metrics;
  }

  /** Chosen responses of all pairs, then the rejected ones. */
  static SequenceBatch batch(List<DpoExample> rows) {
    List<int[]> sequences = new ArrayList<>();
    rows.forEach(row -> sequences.add(row.chosen()));
    rows.forEach(row -> sequences.add(row.rejected()));
    return SequenceBatch.predictingResponses(
        sequences,
        IntStream.range(0, sequences.size())
            .map(i -> rows.get(i % rows.size()).promptLength())
            .toArray());
  }

  @Override
  public int parameterCount() {
    return config.layout().size();
  }

  @Override
  public double[] compute(float[] weights, List<DpoExample> rows, float[] gradient) {
    boolean training = gradient != null;
    try (ReplicaPool.Lease lease = ReplicaPool.lease(config, weights, 0);
        GradMode ignored = GradMode.of(training);
        NDManager manager = lease.replica().newManager()) {
      Replica replica = lease.replica();
      SequenceBatch batch = batch(rows);
      NDArray logProbabilities =
          SequenceBatch.logProbabilities(
              batch.outputs(replica, manager, training), batch.labels(manager));
      NDArray logRatios = logProbabilities.sub(reference(manager, rows));
      NDArray loss = loss(manager, settings, rows, logRatios);
      if (training) {
        replica.backward(loss, gradient, 0);
      }
      return sums(
          rows,
          loss.getFloat(),
          batch.bySequence(logRatios.stopGradient()),
          batch.bySequence(logProbabilities.stopGradient()));
    }
  }

  /**
   * The sum of the losses.
   *
   * @param logRatios log π − log π_ref of the tokens of all chosen, then of all rejected responses,
   *     {@code [tokens]}
   */
  static NDArray loss(
      NDManager manager, DpoSettings settings, List<DpoExample> rows, NDArray logRatios) {
    int size = rows.size();
    NDList halves =
        byResponse(manager, settings, rows)
            .matMul(logRatios.reshape(-1, 1))
            .reshape(2, size)
            .split(2, 0);
    NDArray difference = halves.get(0).sub(halves.get(1)).reshape(size);
    float[] forward = new float[size];
    float[] backward = new float[size];
    for (int i = 0; i < size; i++) {
      double share = settings.share(rows.get(i).probability());
      forward[i] = (float) share;
      backward[i] = (float) (1 - share);
    }
    Shape shape = new Shape(size);
    return one(manager, settings, difference)
        .mul(manager.create(forward, shape))
        .add(one(manager, settings, difference.neg()).mul(manager.create(backward, shape)))
        .sum();
  }

  /** ℓ(d) of each pair. */
  private static NDArray one(NDManager manager, DpoSettings settings, NDArray difference) {
    NDArray reward = difference.mul(Scalars.of(manager, (float) settings.beta()));
    return switch (settings.loss()) {
      // −log σ(x) = softplus(−x)
      case SIGMOID, ROBUST -> Activation.softPlus(reward.neg());
      case IPO -> {
        float wanted = (float) (1 / (2 * settings.beta()));
        yield difference.sub(Scalars.of(manager, wanted)).square();
      }
      case HINGE -> Activation.relu(Scalars.of(manager, 1).sub(reward));
    };
  }

  /**
   * What sums the tokens of each response, or gives their mean where the loss wants that.
   *
   * @return {@code [responses, tokens]}
   */
  private static NDArray byResponse(
      NDManager manager, DpoSettings settings, List<DpoExample> rows) {
    int size = rows.size();
    int[] lengths = new int[2 * size];
    for (int i = 0; i < size; i++) {
      lengths[i] = rows.get(i).chosenReference().length;
      lengths[size + i] = rows.get(i).rejectedReference().length;
    }
    int tokens = IntStream.of(lengths).sum();
    float[] matrix = new float[2 * size * tokens];
    int next = 0;
    for (int i = 0; i < lengths.length; i++) {
      float unit = settings.loss() == DpoSettings.Loss.IPO ? 1f / lengths[i] : 1;
      for (int t = 0; t < lengths[i]; t++) {
        matrix[i * tokens + next++] = unit;
      }
    }
    return manager.create(matrix, new Shape(2L * size, tokens));
  }

  private static NDArray reference(NDManager manager, List<DpoExample> rows) {
    List<float[]> parts = new ArrayList<>();
    rows.forEach(row -> parts.add(row.chosenReference()));
    rows.forEach(row -> parts.add(row.rejectedReference()));
    float[] values = new float[parts.stream().mapToInt(part -> part.length).sum()];
    int next = 0;
    for (float[] part : parts) {
      System.arraycopy(part, 0, values, next, part.length);
      next += part.length;
    }
    return manager.create(values, new Shape(values.length));
  }

  private double[] sums(
      List<DpoExample> rows, double loss, float[][] logRatios, float[][] logProbabilities) {
    int size = rows.size();
    double[] sums = new double[SUMS];
    sums[LOSS] = loss;
    sums[COUNT] = size;
    for (int i = 0; i < size; i++) {
      double chosen = settings.beta() * sum(logRatios[i]);
      double rejected = settings.beta() * sum(logRatios[size + i]);
      sums[CHOSEN_REWARD] += chosen;
      sums[REJECTED_REWARD] += rejected;
      sums[CHOSEN_LOG_PROBABILITY] += sum(logProbabilities[i]);
      sums[REJECTED_LOG_PROBABILITY] += sum(logProbabilities[size + i]);
      if (rows.get(i).probability() > 0.5) {
        sums[DECIDED]++;
        sums[CORRECT] += chosen > rejected ? 1 : 0;
      }
    }
    return sums;
  }

  private static double sum(float[] values) {
    double sum = 0;
    for (float value : values) {
      sum += value;
    }
    return sum;
  }
}
