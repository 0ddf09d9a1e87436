package io.github.sparkrlhf.ppo;

import io.github.sparkrlhf.policy.Rollout;
import io.github.sparkrlhf.spark.CounterRandom;
import io.github.sparkrlhf.spark.JobFailure;
import io.github.sparkrlhf.training.FloatArray;
import io.github.sparkrlhf.training.GradientClipping;
import io.github.sparkrlhf.training.LearningRateSchedule;
import io.github.sparkrlhf.training.Trainables;
import io.github.sparkrlhf.training.TrainingEngine;
import io.github.sparkrlhf.training.WeightView;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.broadcast.Broadcast;

/**
 * What an iteration does with the networks: forward passes on its responses, and then epochs over
 * minibatches of them, cut the same way.
 */
final class PpoUpdate {
  private final JavaSparkContext context;
  private final Trainables networks;
  private final PpoModels models;
  private final PpoSettings settings;

  PpoUpdate(JavaSparkContext context, Trainables networks, PpoModels models, PpoSettings settings) {
    this.context = context;
    this.networks = networks;
    this.models = models;
    this.settings = settings;
  }

  /**
   * Log-probabilities of policy and reference, and values, in no particular order.
   *
   * @param reference weights of all models, the reference policy first
   */
  List<ForwardPass.Outputs> outputs(
      PpoState state, Broadcast<FloatArray> reference, List<Rollout> rollouts) {
    WeightView view = networks.view();
    ForwardPass pass = new ForwardPass(models, reference, settings.sampling().temperature());
    List<PpoExample> rows = rollouts.stream().map(PpoExample::of).toList();
    try (TrainingEngine<PpoExample> engine = engine(rows, state.iteration, objective(state))) {
      return engine.map(
          state.weights,
          0,
          "ppo: log-probabilities and values of iteration " + state.iteration,
          (weights, batch) -> pass.apply(view.all(weights), batch));
    }
  }

  /**
   * Steps the weights. Log-probabilities, values and advantages stay fixed.
   *
   * @return the metrics of the update
   */
  Map<String, Double> run(PpoState state, Experience experience) {
    int iteration = state.iteration;
    List<PpoMetrics.Minibatch> minibatches = new ArrayList<>();
    EarlyStop earlyStop = new EarlyStop(settings.update().targetApproxKl());
    double learningRate = schedule().at(iteration);
    double gradientNorm = 0;
    int steps = 0;
    PpoObjective objective = objective(state);
    try (TrainingEngine<PpoExample> engine = engine(experience.examples(), iteration, objective)) {
      boolean stopped = false;
      for (int epoch = 0; epoch < settings.update().epochs() && !stopped; epoch++) {
        for (int step = 0; step < engine.stepsPerEpoch() && !stopped; step++) {
          TrainingEngine.Round round =
              engine.round(state.weights, epoch, step, name(iteration, epoch, step));
          PpoMetrics.Minibatch minibatch = objective.minibatch(round.sums());
          if (epoch == 0 && step == 0) {
            requireUntouched(minibatch);
          }
          minibatches.add(minibatch);
          stopped = earlyStop.stopsAt(minibatch.approxKl());
          if (!stopped) {
            gradientNorm +=
                GradientClipping.globalNorm(round.gradient(), settings.update().maxGradientNorm());
            state.optimizer.step(state.weights, round.gradient(), learningRate);
            steps++;
          }
        }
      }
    }
    Map<String, Double> metrics = new LinkedHashMap<>(PpoMetrics.ofUpdate(minibatches));
    metrics.put("policy/gradient_norm", gradientNorm / Math.max(1, steps));
    metrics.put("update/steps", (double) steps);
    metrics.put("lr", policyLearns(iteration) ? learningRate : 0);
    return metrics;
  }

  private boolean policyLearns(int iteration) {
    return iteration >= settings.update().criticWarmupIterations();
  }

  private PpoObjective objective(PpoState state) {
    PpoSettings.Reward reward = settings.reward();
    return new PpoObjective(
        models,
        settings.sampling(),
        settings.update().loss(),
        reward.klUse() == KlUse.LOSS
            ? new PpoObjective.Penalty(reward.klEstimator(), state.kl.coefficient())
            : PpoObjective.Penalty.NONE,
        policyLearns(state.iteration));
  }

  private TrainingEngine<PpoExample> engine(
      List<PpoExample> examples, int iteration, PpoObjective objective) {
    long order = new CounterRandom(settings.seed(), "minibatches").bits(iteration);
    return new TrainingEngine<>(
        context, examples, settings.dealing(order), networks.objective(objective));
  }

  private LearningRateSchedule schedule() {
    return new LearningRateSchedule(
        settings.update().learningRate(),
        0,
        settings.iterations(),
        LearningRateSchedule.Decay.LINEAR,
        0);
  }

  private static String name(int iteration, int epoch, int step) {
    return "ppo: iteration " + iteration + ", epoch " + epoch + ", minibatch " + step;
  }

  /** The first minibatch of the first epoch sees the weights that sampled. */
  private static void requireUntouched(PpoMetrics.Minibatch minibatch) {
    requireZero("approx-KL of the first minibatch", minibatch.approxKl(), 1e-9);
    requireZero("clip fraction of the first minibatch", minibatch.clipFraction(), 0);
    // The mean of ones, summed in float32.
    requireZero("ratio − 1 of the first minibatch", minibatch.ratio() - 1, 1e-5);
  }

  /** Throws unless a number is 0. */
  static void requireZero(String what, double value, double tolerance) {
    if (!(Math.abs(value) <= tolerance)) {
      throw JobFailure.failure("Cannot run PPO: " + what + " should be 0 and is " + value);
    }
  }
}
