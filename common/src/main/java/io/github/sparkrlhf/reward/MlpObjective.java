package io.github.sparkrlhf.reward;

import io.github.sparkrlhf.training.Objective;
import java.util.List;

/** The weighted squared error of a feed-forward network, per unit of weight. */
final class MlpObjective implements Objective<ResponseExample> {
  private static final long serialVersionUID = 1L;

  private final MlpNetwork network;

  MlpObjective(MlpNetwork network) {
    this.network = network;
  }

  @Override
  public int parameterCount() {
    return network.layout().size();
  }

  @Override
  public double[] compute(float[] weights, List<ResponseExample> rows, float[] gradient) {
    double weight = rows.stream().mapToDouble(ResponseExample::weight).sum();
    return new double[] {network.loss(weights, rows, gradient), weight};
  }
}
