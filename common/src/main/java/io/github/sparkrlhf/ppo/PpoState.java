package io.github.sparkrlhf.ppo;

import io.github.sparkrlhf.training.AdamW;
import io.github.sparkrlhf.training.Checkpoint;
import io.github.sparkrlhf.training.Trainables;
import io.github.sparkrlhf.training.Trainer;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** What the driver carries from iteration to iteration, and a checkpoint keeps. */
final class PpoState {
  private static final String BETA = "kl_coef";
  private static final String SCORE_MEAN = "score_mean";
  private static final String SCORE_DEVIATION = "score_std";

  /** What is trained of policy and critic, flat; stepped in place. */
  final float[] weights;

  final AdamW optimizer;
  KlController kl;
  int iteration;

  private final ScoreSettings.Scaling scaling;
  private double scoreMean = Double.NaN;
  private double scoreDeviation = 1;

  private PpoState(Trainables networks, PpoSettings settings) {
    this.weights = networks.initial().clone();
    PpoSettings.Update update = settings.update();
    double criticScale = update.criticLearningRate() / update.learningRate();
    List<AdamW.Segment> segments = new ArrayList<>();
    segments.addAll(
        Trainer.segments(networks.layout(PpoModels.POLICY), 0, 1, settings.criticWarmupSteps()));
    if (settings.algorithm().needsCritic()) {
      segments.addAll(
          Trainer.segments(
              networks.layout(PpoModels.CRITIC), networks.offset(PpoModels.CRITIC), criticScale));
    }
    this.optimizer = new AdamW(weights.length, segments, new AdamW.Settings(0.9, 0.999, 1e-5, 0));
    this.kl = settings.reward().kl();
    this.scaling = settings.reward().scores().scaling();
  }

  /** The state before the first iteration, or that of a checkpoint. */
  static PpoState start(Trainables networks, PpoSettings settings, Optional<Checkpoint> resumed) {
    PpoState state = new PpoState(networks, settings);
    resumed.ifPresent(state::restore);
    return state;
  }

  private void restore(Checkpoint checkpoint) {
    System.arraycopy(checkpoint.weights(), 0, weights, 0, weights.length);
    checkpoint.restore(optimizer);
    Map<String, String> extras = checkpoint.extras();
    iteration = Math.toIntExact(checkpoint.step());
    kl = kl.withCoefficient(Double.parseDouble(extras.get(BETA)));
    scoreMean = Double.parseDouble(extras.get(SCORE_MEAN));
    scoreDeviation = Double.parseDouble(extras.get(SCORE_DEVIATION));
  }

  Checkpoint checkpoint() {
    return Checkpoint.of(
        iteration,
        weights,
        optimizer,
        Map.of(
            BETA, Double.toString(kl.coefficient()),
            SCORE_MEAN, Double.toString(scoreMean),
            SCORE_DEVIATION, Double.toString(scoreDeviation)));
  }

  /** The first responses are the reference policy's: their scores set the scale. */
  void scaleOnce(double[] raw) {
    if (!Double.isNaN(scoreMean)) {
      return;
    }
    scoreMean = scaling == ScoreSettings.Scaling.NONE ? 0 : mean(raw);
    if (scaling == ScoreSettings.Scaling.STANDARDIZE) {
      double squares = 0;
      for (double score : raw) {
        squares += (score - scoreMean) * (score - scoreMean);
      }
      double deviation = Math.sqrt(squares / raw.length);
      // Equal scores have a deviation of some rounding errors.
      boolean varied = deviation > 1e-6 * Math.max(1, Math.abs(scoreMean));
      scoreDeviation = varied ? deviation : 1;
    }
  }

  /** A score on the scale of the first responses. */
  double scaled(double raw) {
    return (raw - scoreMean) / scoreDeviation;
  }

  static double mean(double[] values) {
    double sum = 0;
    for (double value : values) {
      sum += value;
    }
    return sum / values.length;
  }
}
