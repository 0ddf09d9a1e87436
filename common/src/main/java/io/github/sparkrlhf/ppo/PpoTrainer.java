package io.github.sparkrlhf.ppo;

import io.github.sparkrlhf.lm.LanguageModel;
import io.github.sparkrlhf.lm.Safetensors;
import io.github.sparkrlhf.policy.Rollout;
import io.github.sparkrlhf.policy.RolloutSampler;
import io.github.sparkrlhf.policy.SamplingOptions;
import io.github.sparkrlhf.spark.CounterRandom;
import io.github.sparkrlhf.spark.JobFailure;
import io.github.sparkrlhf.training.Checkpoints;
import io.github.sparkrlhf.training.FloatArray;
import io.github.sparkrlhf.training.Progress;
import io.github.sparkrlhf.training.Trainables;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.broadcast.Broadcast;
import org.apache.spark.sql.SparkSession;

/**
 * Improves a language model against a reward model by an {@link Algorithm}, with a KL penalty to
 * the policy it starts from (Ziegler et al., 2019). Sampling, forward passes and gradients run on
 * the executors; the driver keeps the weights.
 */
public final class PpoTrainer {
  private final JavaSparkContext context;
  final PpoSettings settings;
  final Trainables networks;
  final PpoUpdate update;
  private final ResponseScorer scorer;
  private final RewardSources sources;
  private final RolloutSampler sampler;

  /**
   * Where an iteration's rows and metrics go; told the same again when an iteration is repeated.
   */
  public interface Recorder {
    /** One iteration is done. */
    void record(int iteration, List<RolloutRow> rollouts, Map<String, Double> metrics);
  }

  /**
   * The trained networks.
   *
   * @param models the policy and, if there is one, the critic, with what they have learned
   * @param trained flat, what was trained of all
   * @param iterations how many were done; the rows of the final policy are those of this iteration
   * @param stopped whether the watchdog ended the training
   * @param bestIteration whose weights these are if it did
   * @param alarms of the watchdog
   */
  public record Result(
      List<LanguageModel> models,
      float[] trained,
      int iterations,
      boolean stopped,
      int bestIteration,
      List<Watchdog.Alarm> alarms) {
    /** The policy. */
    public LanguageModel policy() {
      return models.get(PpoModels.POLICY);
    }
  }

  /**
   * A trainer.
   *
   * @param networks what to train of the policy to improve, which is also the reference; and, if
   *     the algorithm needs one, of the critic, of the same tokenizer with a scalar head, usually
   *     the reward model. A policy with both heads is its own critic
   * @throws JobFailure usage, if the critic's tokenizer is not the policy's, or a shaping
   *     expression gives no number
   */
  public PpoTrainer(
      SparkSession spark, Trainables networks, RewardSources sources, PpoSettings settings) {
    LanguageModel policy = networks.initialModel(PpoModels.POLICY);
    PpoModels models = PpoModels.of(networks, settings.algorithm());
    this.context = JavaSparkContext.fromSparkContext(spark.sparkContext());
    this.settings = settings;
    this.networks = networks;
    this.update = new PpoUpdate(context, networks, models, settings);
    this.sources = sources;
    this.scorer = new ResponseScorer(spark, sources, policy.tokenizer());
    this.sampler =
        new RolloutSampler(
            context,
            policy.config(),
            networks.viewOfFirst(),
            new SamplingOptions(
                settings.sampling().temperature(),
                settings.sampling().maxNewTokens(),
                SamplingOptions.Stop.at(policy.tokenizer().stopIds())),
            settings.lanes(),
            settings.sampling().batch(),
            settings.seed());
  }

  /** Names, shapes and order of all trained parameters, for checkpoints. */
  public List<Safetensors.Tensor> parameterLayout() {
    List<Safetensors.Tensor> tensors = new ArrayList<>();
    tensors.addAll(networks.layout(PpoModels.POLICY).tensors("policy."));
    if (networks.count() > 1) {
      tensors.addAll(networks.layout(PpoModels.CRITIC).tensors("critic."));
    }
    return tensors;
  }

  /**
   * Runs all iterations, from the newest checkpoint if there is one.
   *
   * @param prompts at least as many as an iteration draws
   * @throws JobFailure if a run-time check fails, or a loss is not finite
   */
  public Result train(
      List<RolloutSampler.Prompt> prompts,
      Checkpoints checkpoints,
      Recorder recorder,
      Progress progress) {
    if (prompts.size() < settings.sampling().prompts()) {
      throw JobFailure.usage(
          "Cannot run PPO: an iteration draws "
              + settings.sampling().prompts()
              + " prompts and there are only "
              + prompts.size());
    }
    PpoState state = PpoState.start(networks, settings, checkpoints.latest());
    Broadcast<FloatArray> own = ownReference();
    try {
      Broadcast<FloatArray> reference = networks.base().orElse(own);
      while (state.iteration < settings.iterations() && !state.stopped) {
        iterate(state, reference, prompts, recorder, progress);
        if (!state.stopped && state.iteration % settings.checkpointEveryIterations() == 0) {
          checkpoints.save(state.checkpoint());
        }
      }
      recordFinalPolicy(state, reference, prompts, recorder);
    } finally {
      if (own != null) {
        own.destroy();
      }
    }
    return new Result(
        PpoModels.trained(networks, state.weights),
        state.weights,
        state.iteration,
        state.stopped,
        state.watchdog.bestIteration(),
        state.watchdog.alarms());
  }

  /**
   * The reference policy on the executors, which the caller destroys; null with adapters: then they
   * have it already, it is the policy without them.
   */
  Broadcast<FloatArray> ownReference() {
    return networks.base().isPresent()
        ? null
        : context.broadcast(
            new FloatArray(networks.initialModel(PpoModels.POLICY).weights().clone()));
  }

  /** Samples, learns from the samples unless the watchdog stops, records both. */
  private void iterate(
      PpoState state,
      Broadcast<FloatArray> reference,
      List<RolloutSampler.Prompt> prompts,
      Recorder recorder,
      Progress progress) {
    int iteration = state.iteration;
    long startedNanos = System.nanoTime();
    Map<String, Double> metrics = new LinkedHashMap<>();
    Experience experience = experience(state, reference, prompts, metrics);
    List<String> alarms = learn(state, experience, metrics);
    metrics.put("episode", (double) settings.sampling().responses() * state.iteration);
    IterationReport.addSpeed(
        metrics, settings.sampling().responses(), (System.nanoTime() - startedNanos) / 1e9);
    recorder.record(iteration, RolloutRow.of(iteration, experience, scorer), metrics);
    progress.step(state.iteration, IterationReport.line(metrics));
    for (String alarm : alarms) {
      progress.note("watchdog, iteration " + iteration + ": " + alarm);
    }
    if (state.stopped) {
      progress.note(
          "stopped by the watchdog after iteration %d; kept the weights before the update of iteration %d"
              .formatted(iteration, Math.max(0, state.watchdog.bestIteration())));
    }
  }

  /**
   * What follows from an iteration's responses: the update, or the end and the best weights if the
   * watchdog stops.
   *
   * @param metrics of the responses; gets those of the watchdog and of the update
   * @return the watchdog's reasons for alarm
   */
  List<String> learn(PpoState state, Experience experience, Map<String, Double> metrics) {
    List<String> alarms = state.look(metrics);
    boolean stops =
        !alarms.isEmpty() && settings.watchdog().action() == WatchdogSettings.Action.STOP;
    if (!stops) {
      stops = update(state, experience, metrics, alarms);
    }
    state.kl = state.kl.after(metrics.get("objective/kl"), settings.sampling().responses());
    state.iteration++;
    if (stops) {
      state.stop();
    }
    return alarms;
  }

  /**
   * The update of an iteration.
   *
   * @param alarms gets the reason if a loss or gradient is not finite and the watchdog stops then
   * @return whether it does
   */
  private boolean update(
      PpoState state, Experience experience, Map<String, Double> metrics, List<String> alarms) {
    try {
      metrics.putAll(IterationReport.timed(metrics, "update", () -> update.run(state, experience)));
      return false;
    } catch (JobFailure failure) {
      if (failure.kind() != JobFailure.Kind.NOT_FINITE
          || settings.watchdog().action() != WatchdogSettings.Action.STOP) {
        throw failure;
      }
      alarms.add(failure.getMessage());
      state.watchdog.alarm(state.iteration, failure.getMessage());
      metrics.merge("watchdog/alarms", 1.0, Double::sum);
      return true;
    }
  }

  /** The last rows are the final policy's, as those of iteration 0 are the reference policy's. */
  private void recordFinalPolicy(
      PpoState state,
      Broadcast<FloatArray> reference,
      List<RolloutSampler.Prompt> prompts,
      Recorder recorder) {
    Map<String, Double> metrics = new LinkedHashMap<>();
    Experience experience = experience(state, reference, prompts, metrics);
    recorder.record(state.iteration, RolloutRow.of(state.iteration, experience, scorer), metrics);
  }

  /** Samples, runs the networks on the samples, scores them. */
  private Experience experience(
      PpoState state,
      Broadcast<FloatArray> reference,
      List<RolloutSampler.Prompt> prompts,
      Map<String, Double> metrics) {
    int iteration = state.iteration;
    List<Rollout> rollouts =
        IterationReport.timed(
            metrics,
            "sampling",
            () ->
                sampler.sample(
                    networks.part(PpoModels.POLICY, state.weights),
                    drawn(prompts, iteration),
                    settings.sampling().samplesPerPrompt(),
                    iteration));
    List<ForwardPass.Outputs> outputs =
        IterationReport.timed(
            metrics, "networks", () -> update.outputs(state, reference, rollouts));
    ResponseScorer.Scores scores =
        IterationReport.timed(metrics, "scoring", () -> scorer.of(rollouts, prompts));
    state.scaleOnce(scores.raw());
    double[] worth = worth(state, rollouts, scores);
    addScores(metrics, scores);
    Experience experience =
        new Experience(rollouts, outputs, worth, settings, state.kl.coefficient());
    if (iteration == 0) {
      PpoUpdate.requireZero(
          "the KL to the reference before the first step", PpoMetrics.mean(experience.kl), 1e-9);
    }
    metrics.putAll(experience.metrics(settings, state.kl.coefficient()));
    return experience;
  }

  /** What each response is worth, all models and terms together. */
  private double[] worth(PpoState state, List<Rollout> rollouts, ResponseScorer.Scores scores) {
    double[] worth = new double[rollouts.size()];
    for (int row = 0; row < worth.length; row++) {
      double scaled = 0;
      for (int model = 0; model < scores.raw().length; model++) {
        scaled +=
            sources.models().get(model).weight()
                * state.scales.get(model).scaled(scores.raw()[model][row]);
      }
      Rollout rollout = rollouts.get(row);
      worth[row] =
          settings
                  .reward()
                  .scores()
                  .score(
                      scaled,
                      rollout.stopped(),
                      rollout.response().length,
                      settings.sampling().maxNewTokens())
              + scores.shaping()[row];
    }
    return worth;
  }

  private void addScores(Map<String, Double> metrics, ResponseScorer.Scores scores) {
    double sum = 0;
    for (int model = 0; model < scores.raw().length; model++) {
      RewardSources.Weighted source = sources.models().get(model);
      double mean = PpoMetrics.mean(scores.raw()[model]);
      sum += source.weight() * mean;
      if (scores.raw().length > 1) {
        metrics.put("objective/raw_scores/" + source.name(), mean);
      }
    }
    metrics.put("objective/raw_scores", sum);
    if (!sources.shaping().isEmpty()) {
      metrics.put("objective/shaping", PpoMetrics.mean(scores.shaping()));
    }
    scores.watched().ifPresent(each -> metrics.put(Watchdog.WATCHED, PpoMetrics.mean(each)));
  }

  private List<RolloutSampler.Prompt> drawn(List<RolloutSampler.Prompt> prompts, int iteration) {
    int[] order =
        new CounterRandom(settings.seed(), "prompts of an iteration")
            .permutation(prompts.size(), iteration);
    List<RolloutSampler.Prompt> drawn = new ArrayList<>();
    for (int i = 0; i < settings.sampling().prompts(); i++) {
      drawn.add(prompts.get(order[i]));
    }
    return drawn;
  }
}
