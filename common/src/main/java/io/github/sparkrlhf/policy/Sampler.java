package io.github.sparkrlhf.policy;

import io.github.sparkrlhf.lm.Decoder;
import io.github.sparkrlhf.lm.GradMode;
import io.github.sparkrlhf.lm.Replica;
import io.github.sparkrlhf.spark.CounterRandom;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * Samples responses from a language model. The number that draws a token is keyed by (seed,
 * iteration, prompt, sample, position), so a response does not depend on what else is in the job.
 */
public final class Sampler implements Serializable {
  private static final long serialVersionUID = 1L;

  private final SamplingOptions options;
  private final CounterRandom random;
  private final long iteration;

  /**
   * A sampler.
   *
   * @param seed seed of the run
   * @param iteration PPO's iteration, or 0
   */
  public Sampler(SamplingOptions options, long seed, long iteration) {
    this.options = options;
    this.random = new CounterRandom(seed, "sampling");
    this.iteration = iteration;
  }

  /**
   * A prompt to answer.
   *
   * @param key hash of the prompt's id
   * @param sample number of this sample among those of the prompt
   * @param tokens the prompt's token ids, not empty
   */
  public record Request(long key, int sample, int[] tokens) {}

  /**
   * A response.
   *
   * @param tokens response token ids, the stop token included if there is one
   * @param logProbabilities of each token under the distribution that was sampled, in nats
   * @param stopped whether the last token is the stop token
   */
  public record Response(int[] tokens, float[] logProbabilities, boolean stopped) {}

  /**
   * Answers a batch of prompts. The batch should always be cut the same way, because its shape
   * decides the last bits of the logits.
   *
   * @return one response per request, in order
   */
  public List<Response> sample(Replica replica, List<Request> requests) {
    List<int[]> prompts = requests.stream().map(Request::tokens).toList();
    int rows = requests.size();
    int[][] tokens = new int[rows][options.maxNewTokens()];
    float[][] logProbabilities = new float[rows][options.maxNewTokens()];
    int[] lengths = new int[rows];
    int[] active = new int[rows];
    Arrays.setAll(active, row -> row);
    try (GradMode ignored = GradMode.inference();
        Decoder decoder = new Decoder(replica, prompts, options.maxNewTokens())) {
      float[] logits = decoder.prefill();
      for (int position = 0; active.length > 0; position++) {
        int[] drawn = new int[active.length];
        int vocabulary = logits.length / active.length;
        for (int i = 0; i < active.length; i++) {
          int row = active[i];
          Request request = requests.get(row);
          double u = random.uniform(iteration, request.key(), request.sample(), position);
          TokenDistribution distribution =
              distribution(logits, i * vocabulary, vocabulary, request, tokens[row], position);
          drawn[i] = distribution.draw(u);
          tokens[row][position] = drawn[i];
          logProbabilities[row][position] = (float) distribution.logProbability(drawn[i]);
          lengths[row] = position + 1;
        }
        if (position + 1 == options.maxNewTokens()) {
          break;
        }
        int[] going = unfinished(drawn);
        if (going.length == 0) {
          break;
        }
        if (going.length < active.length) {
          decoder.keep(going);
          active = pick(active, going);
          drawn = pick(drawn, going);
        }
        logits = decoder.step(drawn);
      }
    }
    return responses(tokens, logProbabilities, lengths);
  }

  private TokenDistribution distribution(
      float[] logits, int offset, int vocabulary, Request request, int[] response, int length) {
    if (options.filter().equals(LogitFilter.NONE)) {
      return TokenDistribution.of(logits, offset, vocabulary, options.temperature());
    }
    int[] before = Arrays.copyOf(request.tokens(), request.tokens().length + length);
    System.arraycopy(response, 0, before, request.tokens().length, length);
    float[] row = Arrays.copyOfRange(logits, offset, offset + vocabulary);
    float[] filtered = options.filter().apply(row, options.temperature(), before);
    // The temperature is part of what was filtered; 0 still takes the largest.
    return TokenDistribution.of(filtered, 0, vocabulary, options.temperature() == 0 ? 0 : 1);
  }

  private int[] unfinished(int[] drawn) {
    int[] going = new int[drawn.length];
    int count = 0;
    for (int i = 0; i < drawn.length; i++) {
      if (drawn[i] != options.stopId()) {
        going[count++] = i;
      }
    }
    return Arrays.copyOf(going, count);
  }

  private static int[] pick(int[] values, int[] indices) {
    return Arrays.stream(indices).map(i -> values[i]).toArray();
  }

  private List<Response> responses(int[][] tokens, float[][] logProbabilities, int[] lengths) {
    List<Response> responses = new ArrayList<>();
    for (int row = 0; row < lengths.length; row++) {
      int length = lengths[row];
      responses.add(
          new Response(
              Arrays.copyOf(tokens[row], length),
              Arrays.copyOf(logProbabilities[row], length),
              tokens[row][length - 1] == options.stopId()));
    }
    return responses;
  }
}
