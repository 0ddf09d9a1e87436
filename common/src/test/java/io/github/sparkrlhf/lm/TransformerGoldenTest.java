package io.github.sparkrlhf.lm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.types.Shape;
import com.fasterxml.jackson.databind.JsonNode;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class TransformerGoldenTest {
  private static final double TOLERANCE = 1e-4;

  @ParameterizedTest
  @ValueSource(strings = {"llama", "qwen2", "gpt2"})
  void logitsMatchTransformers(String name) {
    GoldenModel model = GoldenModel.load(name);
    int vocabulary = model.config().vocabularySize();
    try (Replica replica = model.replica();
        GradMode ignored = GradMode.inference();
        NDManager manager = replica.newManager()) {
      List<int[]> sequences = model.sequences();
      float[] logits = replica.forward(padded(manager, sequences, 16), false).toFloatArray();
      for (int row = 0; row < sequences.size(); row++) {
        for (int t = 0; t < sequences.get(row).length; t++) {
          for (int v = 0; v < vocabulary; v++) {
            assertThat((double) logits[(row * 16 + t) * vocabulary + v])
                .isCloseTo(
                    model.golden().get("logits").get(row).get(t).get(v).asDouble(),
                    within(TOLERANCE));
          }
        }
      }
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"llama", "qwen2", "gpt2"})
  void logProbabilitiesLossAndGradientsMatchTransformers(String name) {
    GoldenModel model = GoldenModel.load(name);
    float[] gradient = new float[model.weights().length];
    try (Replica replica = model.replica();
        GradMode ignored = GradMode.of(true);
        NDManager manager = replica.newManager()) {
      SequenceBatch batch = allTokens(model.sequences());
      NDArray logits = batch.outputs(replica, manager, true);
      NDArray logProbabilities = SequenceBatch.logProbabilities(logits, batch.labels(manager));
      NDArray loss = logProbabilities.mean().neg();
      assertThat((double) loss.getFloat())
          .isCloseTo(model.golden().get("loss").asDouble(), within(TOLERANCE));
      float[][] bySequence = batch.bySequence(logProbabilities.stopGradient());
      for (int row = 0; row < bySequence.length; row++) {
        for (int t = 0; t < bySequence[row].length; t++) {
          assertThat((double) bySequence[row][t])
              .isCloseTo(
                  model.golden().get("logprobs").get(row).get(t).asDouble(), within(TOLERANCE));
        }
      }
      replica.backward(loss, gradient, 0);
    }
    assertGradients(model, gradient);
  }

  @ParameterizedTest
  @ValueSource(strings = {"llama", "qwen2", "gpt2"})
  void greedyTokensMatchTransformersAloneAndInALeftPaddedBatch(String name) {
    GoldenModel model = GoldenModel.load(name);
    List<int[]> prompts = model.sequences();
    try (Replica replica = model.replica();
        GradMode ignored = GradMode.inference()) {
      int[][] together = greedy(replica, prompts, 12);
      for (int row = 0; row < prompts.size(); row++) {
        int[] expected = ints(model.golden().get("greedy").get(row));
        assertThat(together[row]).isEqualTo(expected);
        assertThat(greedy(replica, List.of(prompts.get(row)), 12)[0]).isEqualTo(expected);
        assertThat(greedyWithoutCache(replica, prompts.get(row), 12)).isEqualTo(expected);
      }
    }
  }

  @Test
  void scoresPairwiseLossAndGradientsOfTheRewardModelMatchTransformers() {
    GoldenModel model = GoldenModel.load("llama_rm");
    float[] gradient = new float[model.weights().length];
    try (Replica replica = model.replica();
        GradMode ignored = GradMode.of(true);
        NDManager manager = replica.newManager()) {
      SequenceBatch batch = SequenceBatch.atLastTokens(model.sequences());
      NDArray scores = batch.outputs(replica, manager, true).reshape(4);
      float[] values = scores.stopGradient().toFloatArray();
      for (int row = 0; row < values.length; row++) {
        assertThat((double) values[row])
            .isCloseTo(model.golden().get("scores").get(row).asDouble(), within(TOLERANCE));
      }
      NDArray difference = scores.get("0:2").sub(scores.get("2:4"));
      NDArray loss = difference.neg().exp().add(1).log().mean();
      assertThat((double) loss.getFloat())
          .isCloseTo(model.golden().get("pairwise_loss").asDouble(), within(TOLERANCE));
      replica.backward(loss, gradient, 0);
    }
    assertGradients(model, gradient);
  }

  @Test
  void perTokenScoresMatchTransformers() {
    GoldenModel model = GoldenModel.load("llama_rm");
    try (Replica replica = model.replica();
        GradMode ignored = GradMode.inference();
        NDManager manager = replica.newManager()) {
      float[] scores =
          replica.forward(padded(manager, model.sequences(), 16), false).toFloatArray();
      for (int row = 0; row < 4; row++) {
        for (int t = 0; t < model.sequences().get(row).length; t++) {
          assertThat((double) scores[row * 16 + t])
              .isCloseTo(
                  model.golden().get("per_token_scores").get(row).get(t).asDouble(),
                  within(TOLERANCE));
        }
      }
    }
  }

  @Test
  void morePaddingChangesNoScore() {
    GoldenModel model = GoldenModel.load("llama");
    try (Replica replica = model.replica();
        GradMode ignored = GradMode.inference();
        NDManager manager = replica.newManager()) {
      int[] sequence = model.sequences().get(0);
      List<int[]> one = List.of(sequence);
      NDArray alone = replica.forward(padded(manager, one, sequence.length), false);
      NDArray wide = replica.forward(padded(manager, one, sequence.length + 9), false);
      NDArray cut = wide.get("0:1, 0:" + sequence.length);
      assertThat((double) cut.sub(alone).abs().max().getFloat()).isLessThan(2e-5);
    }
  }

  private static void assertGradients(GoldenModel model, float[] gradient) {
    float[] expected = model.gradients();
    for (ParameterLayout.Parameter parameter : model.config().layout().parameters()) {
      int from = parameter.offset();
      int to = from + parameter.size();
      double reference = norm(expected, from, to);
      assertThat(norm(gradient, from, to))
          .as(parameter.name())
          .isCloseTo(reference, within(TOLERANCE * reference));
      for (int i = from; i < to; i++) {
        assertThat((double) gradient[i])
            .as(parameter.name())
            .isCloseTo(expected[i], within(TOLERANCE * Math.max(1, reference)));
      }
    }
  }

  private static double norm(float[] values, int from, int to) {
    double sum = 0;
    for (int i = from; i < to; i++) {
      sum += (double) values[i] * values[i];
    }
    return Math.sqrt(sum);
  }

  private static int[][] greedy(Replica replica, List<int[]> prompts, int newTokens) {
    int[][] tokens = new int[prompts.size()][newTokens];
    int longest = prompts.stream().mapToInt(prompt -> prompt.length).max().orElseThrow();
    try (Decoder decoder = new Decoder(replica, prompts.size(), longest + newTokens)) {
      float[] logits = decoder.admit(prompts, IntStream.range(0, prompts.size()).toArray());
      for (int t = 0; t < newTokens; t++) {
        int[] next = largest(logits, prompts.size());
        for (int row = 0; row < next.length; row++) {
          tokens[row][t] = next[row];
        }
        if (t + 1 < newTokens) {
          logits = decoder.step(next);
        }
      }
    }
    return tokens;
  }

  private static int[] greedyWithoutCache(Replica replica, int[] prompt, int newTokens) {
    int[] sequence = prompt;
    for (int t = 0; t < newTokens; t++) {
      try (NDManager manager = replica.newManager()) {
        SequenceBatch batch = SequenceBatch.atLastTokens(List.of(sequence));
        int next = largest(batch.outputs(replica, manager, false).toFloatArray(), 1)[0];
        sequence = Arrays.copyOf(sequence, sequence.length + 1);
        sequence[sequence.length - 1] = next;
      }
    }
    return Arrays.copyOfRange(sequence, prompt.length, sequence.length);
  }

  private static int[] largest(float[] logits, int rows) {
    int size = logits.length / rows;
    int[] largest = new int[rows];
    for (int row = 0; row < rows; row++) {
      for (int v = 1; v < size; v++) {
        if (logits[row * size + v] > logits[row * size + largest[row]]) {
          largest[row] = v;
        }
      }
    }
    return largest;
  }

  private static SequenceBatch allTokens(List<int[]> sequences) {
    int[] promptLengths = new int[sequences.size()];
    Arrays.fill(promptLengths, 1);
    return SequenceBatch.predictingResponses(sequences, promptLengths);
  }

  private static NDArray padded(NDManager manager, List<int[]> sequences, int width) {
    List<Long> ids = new ArrayList<>();
    for (int[] sequence : sequences) {
      for (int t = 0; t < width; t++) {
        ids.add(t < sequence.length ? (long) sequence[t] : 0L);
      }
    }
    return manager.create(
        ids.stream().mapToLong(Long::longValue).toArray(), new Shape(sequences.size(), width));
  }

  private static int[] ints(JsonNode array) {
    int[] values = new int[array.size()];
    Arrays.setAll(values, i -> array.get(i).asInt());
    return values;
  }
}
