package io.github.sparkrlhf.training;

import java.io.Serializable;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;

/**
 * Adam with decoupled weight decay (Loshchilov and Hutter, 2019, algorithm 2) over one flat array,
 * as {@code torch.optim.AdamW} computes it:
 *
 * <pre>
 * w ← w·(1 − η·λ)
 * m ← m + (1 − β₁)·(g − m)
 * v ← β₂·v + (1 − β₂)·g²
 * w ← w − η/(1 − β₁ᵗ) · m / (√v/√(1 − β₂ᵗ) + ε)
 * </pre>
 *
 * <p>Each element is computed in double precision and rounded once to float, in plain loops: the
 * same bits on every machine. The moments are exposed so that a checkpoint can hold them.
 */
public final class AdamW implements Optimizer {
  /**
   * A range of the flat array with settings of its own.
   *
   * @param offset the first element
   * @param length the number of elements
   * @param learningRateScale what the step's learning rate is multiplied with; 0 freezes the range
   *     but for its moments
   * @param decay whether weight decay applies; customarily not to biases and norms
   * @param firstStep steps before which the range and its moments stay as they are; t counts from
   *     there
   */
  public record Segment(
      int offset, int length, double learningRateScale, boolean decay, long firstStep)
      implements Serializable {
    /** A range that takes part in every step. */
    public Segment(int offset, int length, double learningRateScale, boolean decay) {
      this(offset, length, learningRateScale, decay, 0);
    }
  }

  /**
   * The constants of the optimiser.
   *
   * @param beta1 decay of the first moment, in [0, 1)
   * @param beta2 decay of the second moment, in [0, 1)
   * @param epsilon added to the root of the second moment; PPO customarily takes 1e-5
   * @param weightDecay λ, relative to the learning rate
   */
  public record Settings(double beta1, double beta2, double epsilon, double weightDecay)
      implements Serializable {
    /** Checks the ranges; NaN is out of every range. */
    public Settings {
      require(beta1 >= 0 && beta1 < 1, "beta1", beta1);
      require(beta2 >= 0 && beta2 < 1, "beta2", beta2);
      require(epsilon > 0, "epsilon", epsilon);
      require(weightDecay >= 0, "weight decay", weightDecay);
    }

    private static void require(boolean valid, String name, double value) {
      if (!valid) {
        throw new IllegalArgumentException("AdamW's " + name + " is out of range: " + value);
      }
    }
  }

  private static final int CHUNK = 1 << 16;

  private final Settings settings;
  private final List<Segment> segments;
  private final float[] firstMoment;
  private final float[] secondMoment;
  private long steps;

  /**
   * An optimiser before its first step.
   *
   * @param size the number of weights
   * @param segments in order, without gap or overlap, covering all weights
   */
  public AdamW(int size, List<Segment> segments, Settings settings) {
    int end = 0;
    for (Segment segment : segments) {
      if (segment.offset() != end || segment.length() < 0) {
        throw new IllegalArgumentException("the segments do not follow each other at " + segment);
      }
      end = Math.addExact(end, segment.length());
    }
    if (end != size) {
      throw new IllegalArgumentException("the segments cover " + end + " of " + size + " weights");
    }
    this.settings = settings;
    this.segments = List.copyOf(segments);
    this.firstMoment = new float[size];
    this.secondMoment = new float[size];
  }

  /**
   * {@inheritDoc}
   *
   * @param learningRate η before the segments' scales
   */
  @Override
  public void step(float[] weights, float[] gradient, double learningRate) {
    if (weights.length != firstMoment.length || gradient.length != firstMoment.length) {
      throw new IllegalArgumentException(
          "the optimiser holds "
              + firstMoment.length
              + " weights, not "
              + weights.length
              + " with a gradient of "
              + gradient.length);
    }
    steps++;
    for (Segment segment : segments) {
      if (steps > segment.firstStep()) {
        step(weights, gradient, segment, learningRate * segment.learningRateScale());
      }
    }
  }

  private void step(float[] weights, float[] gradient, Segment segment, double learningRate) {
    double keep = segment.decay() ? 1 - learningRate * settings.weightDecay() : 1;
    double beta1 = settings.beta1();
    double beta2 = settings.beta2();
    double epsilon = settings.epsilon();
    double t = steps - segment.firstStep();
    double stepSize = learningRate / (1 - StrictMath.pow(beta1, t));
    double rootCorrection = Math.sqrt(1 - StrictMath.pow(beta2, t));
    int end = segment.offset() + segment.length();
    // Element by element: which thread steps which changes nothing.
    IntStream.rangeClosed(0, (segment.length() - 1) / CHUNK)
        .parallel()
        .forEach(
            chunk -> {
              int from = segment.offset() + chunk * CHUNK;
              int to = Math.min(end, from + CHUNK);
              for (int i = from; i < to; i++) {
                double g = gradient[i];
                double m = firstMoment[i] + (1 - beta1) * (g - firstMoment[i]);
                double v = beta2 * secondMoment[i] + (1 - beta2) * g * g;
                firstMoment[i] = (float) m;
                secondMoment[i] = (float) v;
                weights[i] =
                    (float)
                        (weights[i] * keep
                            - stepSize * m / (Math.sqrt(v) / rootCorrection + epsilon));
              }
            });
  }

  @Override
  public long steps() {
    return steps;
  }

  /** The running means of the gradient and of the squared gradient. */
  @Override
  public Map<String, float[]> moments() {
    return Map.of("first_moment", firstMoment, "second_moment", secondMoment);
  }

  @Override
  public void restore(Map<String, float[]> moments, long steps) {
    Optimizer.copy(moments, moments());
    this.steps = steps;
  }
}
