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

  /** New prompts are read when at least one in so many places is free: reading is dear. */
  private static final int PLACES_PER_FREE = 4;

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
   * @param stopped whether the last token is a stop token or completes a stop string
   */
  public record Response(int[] tokens, float[] logProbabilities, boolean stopped) {}

  /**
   * Answers prompts. A response that is finished leaves its place to the next request. The requests
   * should always come in the same order, because the number of rows that are decoded together
   * decides the last bits of the logits.
   *
   * @param places how many responses are decoded together
   * @return one response per request, in order
   */
  public List<Response> sample(Replica replica, List<Request> requests, int places) {
    int longest = requests.stream().mapToInt(request -> request.tokens().length).max().orElse(0);
    int rows = Math.min(places, requests.size());
    Response[] responses = new Response[requests.size()];
    try (GradMode ignored = GradMode.inference();
        Decoder decoder = new Decoder(replica, rows, longest + options.maxNewTokens())) {
      TokenDistribution distribution = new TokenDistribution();
      List<Row> active = new ArrayList<>();
      int next = 0;
      while (next < requests.size() || !active.isEmpty()) {
        int free = rows - active.size();
        if (next < requests.size() && (active.isEmpty() || free * PLACES_PER_FREE >= rows)) {
          int count = Math.min(free, requests.size() - next);
          admit(decoder, requests, next, count, active, distribution);
          next += count;
        } else {
          float[] logits = decoder.step(lastTokens(active));
          int vocabulary = logits.length / active.size();
          for (int i = 0; i < active.size(); i++) {
            draw(active.get(i), logits, i * vocabulary, vocabulary, distribution);
          }
        }
        retire(decoder, active, responses);
      }
    }
    return Arrays.asList(responses);
  }

  /** Reads the prompts of the next requests, equal neighbours once, and draws the first tokens. */
  private void admit(
      Decoder decoder,
      List<Request> requests,
      int first,
      int count,
      List<Row> active,
      TokenDistribution distribution) {
    List<int[]> prompts = new ArrayList<>();
    int[] sources = new int[count];
    for (int i = 0; i < count; i++) {
      int[] tokens = requests.get(first + i).tokens();
      if (prompts.isEmpty() || !Arrays.equals(prompts.get(prompts.size() - 1), tokens)) {
        prompts.add(tokens);
      }
      sources[i] = prompts.size() - 1;
    }
    float[] logits = decoder.admit(prompts, sources);
    int vocabulary = logits.length / prompts.size();
    for (int i = 0; i < count; i++) {
      Row row = new Row(requests.get(first + i), first + i, options.maxNewTokens());
      draw(row, logits, sources[i] * vocabulary, vocabulary, distribution);
      active.add(row);
    }
  }

  private static int[] lastTokens(List<Row> active) {
    return active.stream().mapToInt(row -> row.tokens[row.length - 1]).toArray();
  }

  private void draw(
      Row row, float[] logits, int offset, int vocabulary, TokenDistribution distribution) {
    if (options.filter().equals(LogitFilter.NONE)) {
      distribution.set(logits, offset, vocabulary, options.temperature());
    } else {
      float[] own = Arrays.copyOfRange(logits, offset, offset + vocabulary);
      float[] filtered = options.filter().apply(own, options.temperature(), row.before());
      // The temperature is part of what was filtered; 0 still takes the largest.
      distribution.set(filtered, 0, vocabulary, options.temperature() == 0 ? 0 : 1);
    }
    double u = random.uniform(iteration, row.request.key(), row.request.sample(), row.length);
    int token = distribution.draw(u);
    row.tokens[row.length] = token;
    row.logProbabilities[row.length] = (float) distribution.logProbability(token);
    row.length++;
    row.stopped = options.stops(row.tokens, row.length);
  }

  /** Takes out the rows that are finished, as the decoder does it: the last row moves up. */
  private void retire(Decoder decoder, List<Row> active, Response[] responses) {
    for (int i = active.size() - 1; i >= 0; i--) {
      Row row = active.get(i);
      if (row.stopped || row.length == options.maxNewTokens()) {
        responses[row.index] = row.response();
        decoder.remove(i);
        Row last = active.remove(active.size() - 1);
        if (i < active.size()) {
          active.set(i, last);
        }
      }
    }
  }

  /** A response that is being written. */
  private static final class Row {
    private final Request request;
    private final int index;
    private final int[] tokens;
    private final float[] logProbabilities;
    private int length;
    private boolean stopped;

    Row(Request request, int index, int maxNewTokens) {
      this.request = request;
      this.index = index;
      this.tokens = new int[maxNewTokens];
      this.logProbabilities = new float[maxNewTokens];
    }

    /** Prompt and response so far. */
    int[] before() {
      int[] prompt = request.tokens();
      int[] before = Arrays.copyOf(prompt, prompt.length + length);
      System.arraycopy(tokens, 0, before, prompt.length, length);
      return before;
    }

    Response response() {
      return new Response(
          Arrays.copyOf(tokens, length), Arrays.copyOf(logProbabilities, length), stopped);
    }
  }
}
