package io.github.sparkrlhf.lm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class SequenceBatchTest {
  private static final GoldenModel MODEL = GoldenModel.load("llama");

  @Test
  void outputsAndLabelsOfResponsesAreThoseOfThePositionsBeforeTheirTokens() {
    List<int[]> sequences = MODEL.sequences();
    int[] promptLengths = {3, 1, 15};
    SequenceBatch batch = SequenceBatch.predictingResponses(sequences, promptLengths);
    int expectedOutputs = 0;
    try (Replica replica = MODEL.replica();
        GradMode ignored = GradMode.inference();
        NDManager manager = replica.newManager()) {
      NDArray outputs = batch.outputs(replica, manager, false);
      float[] logits = outputs.toFloatArray();
      long[] labels = batch.labels(manager).toLongArray();
      int vocabulary = MODEL.config().vocabularySize();
      for (int row = 0; row < promptLengths.length; row++) {
        int[] sequence = sequences.get(row);
        for (int t = promptLengths[row]; t < sequence.length; t++) {
          assertThat(labels[expectedOutputs]).isEqualTo(sequence[t]);
          for (int v = 0; v < vocabulary; v++) {
            assertThat((double) logits[expectedOutputs * vocabulary + v])
                .isCloseTo(golden(row, t - 1, v), within(1e-4));
          }
          expectedOutputs++;
        }
      }
      assertThat(batch.outputs()).isEqualTo(expectedOutputs);
      assertThat(outputs.getShape().getShape()).containsExactly(expectedOutputs, vocabulary);
      assertThat(labels).hasSize(expectedOutputs);
    }
  }

  @Test
  void lastTokensAreTheLastOfEachLengthNotOfTheBatch() {
    try (Replica replica = MODEL.replica();
        GradMode ignored = GradMode.inference();
        NDManager manager = replica.newManager()) {
      SequenceBatch batch = SequenceBatch.atLastTokens(MODEL.sequences());
      float[] logits = batch.outputs(replica, manager, false).toFloatArray();
      int vocabulary = MODEL.config().vocabularySize();
      assertThat(batch.outputs()).isEqualTo(3);
      for (int row = 0; row < 3; row++) {
        for (int v = 0; v < vocabulary; v++) {
          assertThat((double) logits[row * vocabulary + v])
              .isCloseTo(golden(row, MODEL.sequences().get(row).length - 1, v), within(1e-4));
        }
      }
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"llama", "qwen2", "gpt2"})
  void scoresAreTheOutputsAtTheLastTokens(String name) {
    TransformerConfig config =
        GoldenModel.load(name).config().withHead(TransformerConfig.Head.SEQUENCE_CLASSIFICATION);
    List<int[]> sequences = List.of(new int[] {3}, new int[] {5, 6, 7, 8, 9}, new int[] {4, 2, 1});
    try (Replica replica = new Replica(config);
        GradMode ignored = GradMode.inference();
        NDManager manager = replica.newManager()) {
      replica.load(config.layout().initialWeights(7), 0);
      SequenceBatch batch = SequenceBatch.atLastTokens(sequences);
      float[] expected = batch.outputs(replica, manager, false).toFloatArray();
      assertThat(batch.scores(replica, manager)).containsExactly(expected, within(1e-5f));
      assertThat(expected[0]).isNotCloseTo(expected[1], within(1e-3f));
    }
  }

  @Test
  void valuesAreCutBySequence() {
    SequenceBatch batch =
        SequenceBatch.predictingResponses(
            List.of(new int[5], new int[2], new int[3]), new int[] {2, 1, 2});
    try (GradMode ignored = GradMode.inference();
        NDManager manager = NDManager.newBaseManager()) {
      float[][] values = batch.bySequence(manager.create(new float[] {1, 2, 3, 4, 5}));
      assertThat(values).isDeepEqualTo(new float[][] {{1, 2, 3}, {4}, {5}});
    }
  }

  @Test
  void aTokenThatEqualsThePaddingCountsLikeAnyOther() {
    int[] ids = MODEL.sequences().get(0).clone();
    ids[ids.length - 1] = 0;
    int[] longer = Arrays.copyOf(ids, ids.length + 4);
    try (Replica replica = MODEL.replica();
        GradMode ignored = GradMode.inference();
        NDManager manager = replica.newManager()) {
      float[] logits =
          SequenceBatch.atLastTokens(List.of(ids, longer))
              .outputs(replica, manager, false)
              .toFloatArray();
      int vocabulary = MODEL.config().vocabularySize();
      double largest = 0;
      for (int v = 0; v < vocabulary; v++) {
        largest = Math.max(largest, Math.abs(logits[v] - logits[vocabulary + v]));
      }
      assertThat(largest).isGreaterThan(1e-2);
    }
  }

  private static double golden(int row, int position, int token) {
    return MODEL.golden().get("logits").get(row).get(position).get(token).asDouble();
  }
}
