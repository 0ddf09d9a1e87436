package io.github.sparkrlhf.ppo;

import io.github.sparkrlhf.lm.LanguageModel;
import io.github.sparkrlhf.lm.Safetensors;
import io.github.sparkrlhf.policy.Rollout;
import io.github.sparkrlhf.policy.RolloutSampler;
import io.github.sparkrlhf.policy.SamplingOptions;
import io.github.sparkrlhf.reward.RewardModel;
import io.github.sparkrlhf.spark.CounterRandom;
import io.github.sparkrlhf.spark.JobFailure;
import io.github.sparkrlhf.training.Checkpoints;
import io.github.sparkrlhf.training.FloatArray;
import io.github.sparkrlhf.training.Progress;
import io.github.sparkrlhf.training.Trainables;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.Supplier;
import java.util.stream.IntStream;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.broadcast.Broadcast;
import org.apache.spark.sql.SparkSession;

/**
 * Improves a language model against a reward model by an {@link Algorithm}, with a KL penalty to
 * the policy it starts from (Ziegler et al., 2019). Sampling, forward passes and gradients run on
 * the executors; the driver keeps the weights.
 */
public final class PpoTrainer {
  /** What the names of metrics begin with that say how long a phase took. */
  static final String SECONDS = "seconds/";

  private final JavaSparkContext context;
  final PpoSettings settings;
  final Trainables networks;
  final PpoUpdate update;
  private final RewardScores rewardScores;
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
   */
  public record Result(List<LanguageModel> models, float[] trained) {
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
   *     the reward model
   */
  public PpoTrainer(
      SparkSession spark, Trainables networks, RewardModel reward, PpoSettings settings) {
    LanguageModel policy = networks.initialModel(PpoModels.POLICY);
    PpoModels models = models(networks, settings.algorithm());
    this.context = JavaSparkContext.fromSparkContext(spark.sparkContext());
    this.settings = settings;
    this.networks = networks;
    this.update = new PpoUpdate(context, networks, models, settings);
    this.rewardScores = new RewardScores(spark, reward, policy.tokenizer());
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

  private static PpoModels models(Trainables networks, Algorithm algorithm) {
    LanguageModel policy = networks.initialModel(PpoModels.POLICY);
    if (networks.count() != (algorithm.needsCritic() ? 2 : 1)) {
      throw new IllegalArgumentException(networks.count() + " networks for " + algorithm);
    }
    if (!algorithm.needsCritic()) {
      return new PpoModels(policy.config(), null);
    }
    LanguageModel critic = networks.initialModel(PpoModels.CRITIC);
    if (!policy.tokenizer().equals(critic.tokenizer())) {
      throw JobFailure.usage(
          "Cannot run PPO: policy and critic have different tokenizers, so the critic cannot read the policy's tokens");
    }
    return new PpoModels(policy.config(), critic.config());
  }

  /** Names, shapes and order of all trained parameters, for checkpoints. */
  public List<Safetensors.Tensor> parameterLayout() {
    List<Safetensors.Tensor> tensors = new ArrayList<>();
    tensors.addAll(networks.layout(PpoModels.POLICY).tensors("policy."));
    if (settings.algorithm().needsCritic()) {
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
      while (state.iteration < settings.iterations()) {
        Map<String, Double> metrics = iterate(state, reference, prompts, recorder);
        progress.step(state.iteration, describe(metrics));
        if (state.iteration % settings.checkpointEveryIterations() == 0) {
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
        IntStream.range(0, networks.count())
            .mapToObj(model -> networks.model(model, state.weights))
            .toList(),
        state.weights);
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

  /** Samples, learns from the samples, records both. */
  private Map<String, Double> iterate(
      PpoState state,
      Broadcast<FloatArray> reference,
      List<RolloutSampler.Prompt> prompts,
      Recorder recorder) {
    int iteration = state.iteration;
    long startedNanos = System.nanoTime();
    Map<String, Double> metrics = new LinkedHashMap<>();
    Experience experience = experience(state, reference, prompts, metrics);
    metrics.putAll(timed(metrics, "update", () -> update.run(state, experience)));
    state.kl = state.kl.after(metrics.get("objective/kl"), settings.sampling().responses());
    state.iteration = iteration + 1;
    metrics.put("episode", (double) settings.sampling().responses() * state.iteration);
    metrics.put(
        "eps", settings.sampling().responses() / ((System.nanoTime() - startedNanos) / 1e9));
    recorder.record(iteration, RolloutRow.of(iteration, experience, rewardScores), metrics);
    return metrics;
  }

  /** The last rows are the final policy's, as those of iteration 0 are the reference policy's. */
  private void recordFinalPolicy(
      PpoState state,
      Broadcast<FloatArray> reference,
      List<RolloutSampler.Prompt> prompts,
      Recorder recorder) {
    Map<String, Double> metrics = new LinkedHashMap<>();
    Experience experience = experience(state, reference, prompts, metrics);
    recorder.record(
        state.iteration, RolloutRow.of(state.iteration, experience, rewardScores), metrics);
  }

  /** Samples, runs the networks on the samples, scores them. */
  private Experience experience(
      PpoState state,
      Broadcast<FloatArray> reference,
      List<RolloutSampler.Prompt> prompts,
      Map<String, Double> metrics) {
    int iteration = state.iteration;
    List<Rollout> rollouts =
        timed(
            metrics,
            "sampling",
            () ->
                sampler.sample(
                    networks.part(PpoModels.POLICY, state.weights),
                    drawn(prompts, iteration),
                    settings.sampling().samplesPerPrompt(),
                    iteration));
    List<ForwardPass.Outputs> outputs =
        timed(metrics, "networks", () -> update.outputs(state, reference, rollouts));
    double[] raw = timed(metrics, "scoring", () -> rewardScores.of(rollouts, prompts));
    metrics.put("objective/raw_scores", PpoState.mean(raw));
    state.scaleOnce(raw);
    double[] scores = new double[raw.length];
    for (int row = 0; row < raw.length; row++) {
      Rollout rollout = rollouts.get(row);
      scores[row] =
          settings
              .reward()
              .scores()
              .score(
                  state.scaled(raw[row]),
                  rollout.stopped(),
                  rollout.response().length,
                  settings.sampling().maxNewTokens());
    }
    Experience experience =
        new Experience(rollouts, outputs, scores, settings, state.kl.coefficient());
    if (iteration == 0) {
      PpoUpdate.requireZero(
          "the KL to the reference before the first step", PpoState.mean(experience.kl), 1e-9);
    }
    metrics.putAll(experience.metrics(settings, state.kl.coefficient()));
    return experience;
  }

  /** Runs a phase of an iteration and records its seconds. */
  private static <T> T timed(Map<String, Double> metrics, String phase, Supplier<T> work) {
    long startedNanos = System.nanoTime();
    T result = work.get();
    metrics.put(SECONDS + phase, (System.nanoTime() - startedNanos) / 1e9);
    return result;
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

  private static String describe(Map<String, Double> metrics) {
    String values =
        metrics.containsKey("loss/value_avg")
            ? String.format(Locale.ROOT, ", value loss %.3f", metrics.get("loss/value_avg"))
            : "";
    return String.format(
        Locale.ROOT,
        "score %.3f, KL %.3f nats, length %.1f%s, clipped %.1f %%; sampling %.1f s, networks %.1f s, scoring %.1f s, update %.1f s",
        metrics.get("objective/raw_scores"),
        metrics.get("objective/kl"),
        metrics.get("response/length_mean"),
        values,
        100 * metrics.get("policy/clipfrac_avg"),
        metrics.get(SECONDS + "sampling"),
        metrics.get(SECONDS + "networks"),
        metrics.get(SECONDS + "scoring"),
        metrics.get(SECONDS + "update"));
  }
}
