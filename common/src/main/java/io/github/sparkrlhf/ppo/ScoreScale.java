package io.github.sparkrlhf.ppo;

/**
 * The scale of a reward model's scores, set once by those of the first responses, which are the
 * reference policy's.
 *
 * @param mean what is subtracted from a score
 * @param deviation what the difference is divided by
 */
record ScoreScale(double mean, double deviation) {
  /** The scale by which these scores have what the scaling asks for. */
  static ScoreScale of(double[] scores, ScoreSettings.Scaling scaling) {
    if (scaling == ScoreSettings.Scaling.NONE) {
      return new ScoreScale(0, 1);
    }
    double mean = PpoMetrics.mean(scores);
    if (scaling == ScoreSettings.Scaling.SHIFT) {
      return new ScoreScale(mean, 1);
    }
    double squares = 0;
    for (double score : scores) {
      squares += (score - mean) * (score - mean);
    }
    double deviation = Math.sqrt(squares / scores.length);
    // Equal scores have a deviation of some rounding errors.
    boolean varied = deviation > 1e-6 * Math.max(1, Math.abs(mean));
    return new ScoreScale(mean, varied ? deviation : 1);
  }

  double scaled(double score) {
    return (score - mean) / deviation;
  }

  /** As a checkpoint has it. */
  String line() {
    return mean + " " + deviation;
  }

  /** What {@link #line} gave. */
  static ScoreScale parse(String line) {
    String[] parts = line.split(" ", -1);
    return new ScoreScale(Double.parseDouble(parts[0]), Double.parseDouble(parts[1]));
  }
}
