package io.github.sparkrlhf.ppo;

import io.github.sparkrlhf.lm.ParameterLayout;
import io.github.sparkrlhf.training.AdamW;
import io.github.sparkrlhf.training.Checkpoint;
import io.github.sparkrlhf.training.Trainables;
import io.github.sparkrlhf.training.Trainer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Collectors;

/** What the driver carries from iteration to iteration, and a checkpoint keeps. */
final class PpoState {
  private static final String BETA = "kl_coef";
  private static final String SCALES = "score_scales";
  private static final String WATCHDOG = "watchdog";

  /** What is trained of policy and critic, flat; stepped in place. */
  final float[] weights;

  final AdamW optimizer;
  KlController kl;
  int iteration;

  /** Of each reward model; empty before the first responses are scored. */
  List<ScoreScale> scales = List.of();

  final Watchdog watchdog;

  /** Whether the watchdog has ended the training. Not part of a checkpoint: it is made again. */
  boolean stopped;

  private final PpoSettings settings;

  /** Those of the best iteration so far, before its update; null if none is to be kept. */
  private float[] bestWeights;

  private PpoState(Trainables networks, PpoSettings settings) {
    this.settings = settings;
    this.watchdog = new Watchdog(settings.watchdog());
    this.bestWeights = settings.watchdog().keepsBest() ? networks.initial().clone() : null;
    this.weights = networks.initial().clone();
    PpoSettings.Update update = settings.update();
    double criticScale = update.criticLearningRate() / update.learningRate();
    List<AdamW.Segment> segments = new ArrayList<>();
    ParameterLayout policy = networks.layout(PpoModels.POLICY);
    segments.addAll(Trainer.segments(policy, 0, 1, settings.criticWarmupSteps()));
    if (networks.count() > 1) {
      segments.addAll(
          Trainer.segments(
              networks.layout(PpoModels.CRITIC), networks.offset(PpoModels.CRITIC), criticScale));
    } else if (settings.algorithm().needsCritic()) {
      // The scalar head on the policy's trunk is its last parameter.
      AdamW.Segment head = segments.remove(segments.size() - 1);
      segments.add(new AdamW.Segment(head.offset(), head.length(), criticScale, head.decay()));
    }
    this.optimizer = new AdamW(weights.length, segments, new AdamW.Settings(0.9, 0.999, 1e-5, 0));
    this.kl = settings.reward().kl();
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
    scales = extras.get(SCALES).lines().map(ScoreScale::parse).toList();
    watchdog.remember(extras.get(WATCHDOG));
    bestWeights = checkpoint.bestWeights();
  }

  Checkpoint checkpoint() {
    return Checkpoint.of(
        iteration,
        weights,
        optimizer,
        bestWeights,
        Map.of(
            BETA,
            Double.toString(kl.coefficient()),
            SCALES,
            scales.stream().map(ScoreScale::line).collect(Collectors.joining("\n")),
            WATCHDOG,
            watchdog.memory()));
  }

  /**
   * The first responses are the reference policy's: their scores set the scale.
   *
   * @param raw [models][rows]
   */
  void scaleOnce(double[][] raw) {
    if (scales.isEmpty()) {
      ScoreSettings.Scaling scaling = settings.reward().scores().scaling();
      scales = Arrays.stream(raw).map(scores -> ScoreScale.of(scores, scaling)).toList();
    }
  }

  /**
   * Has the watchdog look at the iteration before its update, and keeps the weights if they are the
   * best so far.
   *
   * @return reasons for alarm
   */
  List<String> look(Map<String, Double> metrics) {
    List<String> alarms = watchdog.look(iteration, metrics);
    if (bestWeights != null && watchdog.bestIteration() == iteration) {
      System.arraycopy(weights, 0, bestWeights, 0, weights.length);
    }
    return alarms;
  }

  /** Ends the training with the best weights. */
  void stop() {
    System.arraycopy(bestWeights, 0, weights, 0, weights.length);
    stopped = true;
  }
}
