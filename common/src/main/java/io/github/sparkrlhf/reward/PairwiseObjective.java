package io.github.sparkrlhf.reward;

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
import java.util.List;

/**
 * The loss of a pairwise reward model (Bradley and Terry, 1952; Ouyang et al., 2022; margin after
 * Touvron et al., 2023), with votes as soft labels: −p·log σ(d − m) − (1 − p)·log σ(−d − m) for the
 * score difference d, in nats per pair. With a {@link TieModel} a tie is an outcome of its own and
 * the loss is the negative log-likelihood of the three outcomes, d − m in the place of d. Centering
 * adds c·(s_c + s_r)² (Eisenstein et al., 2023).
 */
public final class PairwiseObjective implements Objective<PairExample> {
  private static final long serialVersionUID = 1L;

  /** Index of the number of decided pairs among the sums. */
  public static final int DECIDED = 2;

  /** Index of the number of decided pairs whose chosen response scores higher. */
  public static final int CORRECT = 3;

  private final TransformerConfig config;
  private final PairwiseSettings settings;

  /** The objective for a transformer with a classification head. */
  public PairwiseObjective(TransformerConfig config) {
    this(config, PairwiseSettings.PLAIN);
  }

  /** The objective with another loss; margins are those of the rows, whatever their scale. */
  public PairwiseObjective(TransformerConfig config, PairwiseSettings settings) {
    this.config = config;
    this.settings = settings;
  }

  @Override
  public int parameterCount() {
    return config.layout().size();
  }

  @Override
  public double[] compute(float[] weights, List<PairExample> rows, float[] gradient) {
    boolean training = gradient != null;
    try (ReplicaPool.Lease lease = ReplicaPool.lease(config, weights, 0);
        GradMode ignored = GradMode.of(training);
        NDManager manager = lease.replica().newManager()) {
      Replica replica = lease.replica();
      List<int[]> sequences = new ArrayList<>();
      rows.forEach(row -> sequences.add(row.chosen()));
      rows.forEach(row -> sequences.add(row.rejected()));
      NDList halves =
          SequenceBatch.atLastTokens(sequences)
              .outputs(replica, manager, training)
              .reshape(2, rows.size())
              .split(2, 0);
      NDArray difference = halves.get(0).sub(halves.get(1)).reshape(rows.size());
      NDArray loss =
          settings.ties() == null
              ? loss(manager, rows, difference)
              : TieLoss.of(manager, settings.ties(), rows, difference);
      if (settings.centering() > 0) {
        loss = loss.add(centering(manager, halves.get(0).add(halves.get(1))));
      }
      if (training) {
        replica.backward(loss, gradient, 0);
      }
      return sums(rows, loss.getFloat(), difference.stopGradient().toFloatArray());
    }
  }

  /**
   * The sum of c·s².
   *
   * @param sums s of the scores of each pair
   */
  NDArray centering(NDManager manager, NDArray sums) {
    return sums.mul(sums).sum().mul(Scalars.of(manager, (float) settings.centering()));
  }

  /**
   * The sum of the losses.
   *
   * @param difference {@code [pairs]}
   */
  static NDArray loss(NDManager manager, List<PairExample> rows, NDArray difference) {
    int size = rows.size();
    float[] probability = new float[size];
    float[] complement = new float[size];
    float[] margin = new float[size];
    for (int i = 0; i < size; i++) {
      probability[i] = (float) rows.get(i).probability();
      complement[i] = (float) (1 - rows.get(i).probability());
      margin[i] = (float) rows.get(i).margin();
    }
    Shape shape = new Shape(size);
    NDArray margins = manager.create(margin, shape);
    // −log σ(x) = softplus(−x)
    NDArray forChosen = Activation.softPlus(margins.sub(difference));
    NDArray forRejected = Activation.softPlus(margins.add(difference));
    return forChosen
        .mul(manager.create(probability, shape))
        .add(forRejected.mul(manager.create(complement, shape)))
        .sum();
  }

  private static double[] sums(List<PairExample> rows, double loss, float[] difference) {
    double decided = 0;
    double correct = 0;
    for (int i = 0; i < difference.length; i++) {
      if (rows.get(i).probability() > 0.5) {
        decided++;
        if (difference[i] > 0) {
          correct++;
        }
      }
    }
    return new double[] {loss, difference.length, decided, correct};
  }
}
