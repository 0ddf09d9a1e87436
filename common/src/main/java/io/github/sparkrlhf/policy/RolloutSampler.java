package io.github.sparkrlhf.policy;

import io.github.sparkrlhf.lm.ReplicaPool;
import io.github.sparkrlhf.lm.TransformerConfig;
import io.github.sparkrlhf.spark.JobDescriptions;
import io.github.sparkrlhf.spark.StableHash;
import io.github.sparkrlhf.training.FloatArray;
import io.github.sparkrlhf.training.WeightView;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.stream.IntStream;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.broadcast.Broadcast;

/**
 * Samples responses on the executors. Prompts are dealt by hash into lanes, and the order within a
 * lane is fixed, so the cluster has no part in what is sampled.
 */
public final class RolloutSampler {
  private final JavaSparkContext context;
  private final TransformerConfig config;
  private final WeightView view;
  private final SamplingOptions options;
  private final int lanes;
  private final int batch;
  private final long seed;

  /**
   * A prompt.
   *
   * @param id stable and unique
   * @param text the prompt's text
   * @param tokens its token ids, not empty
   */
  public record Prompt(String id, String text, int[] tokens) implements Serializable {}

  private record Ask(String id, Prompt prompt, int sample) implements Serializable {}

  /**
   * A sampler of a model whose weights are broadcast.
   *
   * @param lanes a power of two; the most tasks that can sample at the same time
   * @param batch responses of a lane that are decoded together
   */
  public RolloutSampler(
      JavaSparkContext context,
      TransformerConfig config,
      SamplingOptions options,
      int lanes,
      int batch,
      long seed) {
    this(context, config, WeightView.IDENTITY, options, lanes, batch, seed);
  }

  /**
   * A sampler.
   *
   * @param view gives all weights from what is broadcast
   * @param lanes a power of two; the most tasks that can sample at the same time
   * @param batch responses of a lane that are decoded together
   */
  public RolloutSampler(
      JavaSparkContext context,
      TransformerConfig config,
      WeightView view,
      SamplingOptions options,
      int lanes,
      int batch,
      long seed) {
    this.context = context;
    this.config = config;
    this.view = view;
    this.options = options;
    this.lanes = lanes;
    this.batch = batch;
    this.seed = seed;
  }

  /**
   * Samples responses.
   *
   * @param weights what is broadcast: a flat array that holds, as the view sees it, the policy from
   *     index 0 on; not kept
   * @param iteration part of the key of every random number
   * @return sorted by prompt id and sample
   */
  public List<Rollout> sample(
      float[] weights, List<Prompt> prompts, int samplesPerPrompt, int iteration) {
    List<List<Ask>> byLane = byLane(prompts, samplesPerPrompt);
    Broadcast<FloatArray> broadcast = context.broadcast(new FloatArray(weights.clone()));
    TransformerConfig shape = config;
    WeightView ofBroadcast = view;
    Sampler sampler = new Sampler(options, seed, iteration);
    int places = batch;
    try {
      return JobDescriptions.described(
          context.sc(),
          "sample " + prompts.size() * samplesPerPrompt + " responses",
          () ->
              new ArrayList<>(
                      context
                          .parallelize(byLane, byLane.size())
                          .flatMap(
                              asks ->
                                  rollouts(
                                          shape,
                                          ofBroadcast.all(broadcast.value().values()),
                                          sampler,
                                          asks,
                                          places)
                                      .iterator())
                          .collect())
                  .stream()
                      .sorted(
                          Comparator.comparing(Rollout::promptId).thenComparing(Rollout::sample))
                      .toList());
    } finally {
      broadcast.destroy();
    }
  }

  /**
   * The lanes that have something to do, each with as many short prompts as others; the samples of
   * a prompt stand side by side.
   */
  private List<List<Ask>> byLane(List<Prompt> prompts, int samplesPerPrompt) {
    List<Prompt> sorted = new ArrayList<>(prompts);
    sorted.sort(
        Comparator.<Prompt>comparingInt(prompt -> prompt.tokens().length)
            .thenComparing(Prompt::id));
    List<List<Ask>> byLane = new ArrayList<>();
    IntStream.range(0, lanes).forEach(lane -> byLane.add(new ArrayList<>()));
    for (int i = 0; i < sorted.size(); i++) {
      Prompt prompt = sorted.get(i);
      List<Ask> lane = byLane.get(i % lanes);
      for (int sample = 0; sample < samplesPerPrompt; sample++) {
        lane.add(new Ask(prompt.id() + "-" + sample, prompt, sample));
      }
    }
    byLane.removeIf(List::isEmpty);
    return byLane;
  }

  private static List<Rollout> rollouts(
      TransformerConfig config, float[] weights, Sampler sampler, List<Ask> asks, int places) {
    List<Sampler.Request> requests =
        asks.stream()
            .map(
                ask ->
                    new Sampler.Request(
                        StableHash.of(ask.prompt().id()), ask.sample(), ask.prompt().tokens()))
            .toList();
    List<Sampler.Response> responses;
    try (ReplicaPool.Lease lease = ReplicaPool.lease(config, weights, 0)) {
      responses = sampler.sample(lease.replica(), requests, places);
    }
    List<Rollout> rollouts = new ArrayList<>();
    for (int i = 0; i < asks.size(); i++) {
      Ask ask = asks.get(i);
      Sampler.Response response = responses.get(i);
      rollouts.add(
          new Rollout(
              ask.id(),
              ask.prompt().id(),
              ask.sample(),
              ask.prompt().tokens(),
              response.tokens(),
              response.stopped(),
              response.logProbabilities()));
    }
    return rollouts;
  }
}
