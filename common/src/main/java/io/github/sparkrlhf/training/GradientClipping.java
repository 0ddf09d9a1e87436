package io.github.sparkrlhf.training;

/** Clipping by the global norm (Pascanu, Mikolov and Bengio, 2013). */
public final class GradientClipping {
  /** Keeps the quotient defined; the value of {@code torch.nn.utils.clip_grad_norm_}. */
  private static final double EPSILON = 1e-6;

  private GradientClipping() {}

  /**
   * Scales a gradient in place so that its Euclidean norm is at most {@code maximum}. A gradient
   * whose norm is not finite stays as it is: the caller sees the norm and stops.
   *
   * @param gradient all parameters together
   * @param maximum a positive number; infinity only measures
   * @return the norm before scaling, accumulated in double precision
   */
  public static double globalNorm(float[] gradient, double maximum) {
    if (!(maximum > 0)) {
      throw new IllegalArgumentException("the maximal norm is not positive: " + maximum);
    }
    double squares = 0;
    for (float value : gradient) {
      squares += (double) value * value;
    }
    double norm = Math.sqrt(squares);
    if (norm > maximum && Double.isFinite(norm)) {
      double scale = maximum / (norm + EPSILON);
      for (int i = 0; i < gradient.length; i++) {
        gradient[i] = (float) (gradient[i] * scale);
      }
    }
    return norm;
  }
}
