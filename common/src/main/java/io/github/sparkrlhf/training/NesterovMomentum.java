package io.github.sparkrlhf.training;

import java.util.Map;

/**
 * Gradient descent with Nesterov's momentum, as {@code torch.optim.SGD} computes it:
 *
 * <pre>
 * v ← μ·v + g
 * w ← w − η·(g + μ·v)
 * </pre>
 */
public final class NesterovMomentum implements Optimizer {
  private final double momentum;
  private final float[] velocity;
  private long steps;

  /**
   * An optimiser before its first step.
   *
   * @param size the number of weights
   * @param momentum μ in [0, 1)
   */
  public NesterovMomentum(int size, double momentum) {
    this.momentum = momentum;
    this.velocity = new float[size];
  }

  @Override
  public void step(float[] weights, float[] gradient, double learningRate) {
    if (weights.length != velocity.length || gradient.length != velocity.length) {
      throw new IllegalArgumentException("the optimiser holds " + velocity.length + " weights");
    }
    steps++;
    for (int i = 0; i < weights.length; i++) {
      velocity[i] = (float) (momentum * velocity[i] + gradient[i]);
      weights[i] = (float) (weights[i] - learningRate * (gradient[i] + momentum * velocity[i]));
    }
  }

  @Override
  public Map<String, float[]> moments() {
    return Map.of("velocity", velocity);
  }

  @Override
  public long steps() {
    return steps;
  }

  @Override
  public void restore(Map<String, float[]> moments, long steps) {
    Optimizer.copy(moments, moments());
    this.steps = steps;
  }
}
