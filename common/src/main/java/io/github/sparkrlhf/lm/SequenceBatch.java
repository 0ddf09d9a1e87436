package io.github.sparkrlhf.lm;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.types.DataType;
import ai.djl.ndarray.types.Shape;
import java.util.List;

/**
 * Right-padded token sequences and, of each, the run of positions at which an output is wanted.
 * Padding is known by length, never by token id.
 */
public final class SequenceBatch {
  private final List<int[]> sequences;
  private final int[] from;
  private final int[] to;
  private final int width;
  private int outputs;

  private SequenceBatch(List<int[]> sequences, int[] from, int[] to) {
    this.sequences = sequences;
    this.from = from;
    this.to = to;
    int longest = 1;
    for (int i = 0; i < from.length; i++) {
      longest = Math.max(longest, sequences.get(i).length);
      outputs += to[i] - from[i];
    }
    this.width = longest;
  }

  /**
   * Outputs at the positions that predict the response: those before each of its tokens. There a
   * language model gives the distribution of the token, and a critic the value before it.
   *
   * @param sequences prompt followed by response
   * @param promptLengths number of prompt tokens of each, at least 1
   */
  public static SequenceBatch predictingResponses(List<int[]> sequences, int[] promptLengths) {
    int[] from = new int[promptLengths.length];
    int[] to = new int[promptLengths.length];
    for (int i = 0; i < from.length; i++) {
      from[i] = promptLengths[i] - 1;
      to[i] = sequences.get(i).length - 1;
    }
    return new SequenceBatch(sequences, from, to);
  }

  /** One output per sequence, at its last token. */
  public static SequenceBatch atLastTokens(List<int[]> sequences) {
    int[] from = new int[sequences.size()];
    int[] to = new int[sequences.size()];
    for (int i = 0; i < from.length; i++) {
      to[i] = sequences.get(i).length;
      from[i] = to[i] - 1;
    }
    return new SequenceBatch(sequences, from, to);
  }

  /** How many outputs the batch has, over all sequences. */
  public int outputs() {
    return outputs;
  }

  /**
   * The head's outputs at the wanted positions, sequence after sequence.
   *
   * @param manager owns all arrays of the pass
   * @return {@code [outputs, vocabulary]} logits or {@code [outputs, 1]} scores
   */
  public NDArray outputs(Replica replica, NDManager manager, boolean training) {
    Transformer transformer = replica.transformer();
    NDArray hidden = transformer.hidden(replica.store(), ids(manager), training);
    NDArray rows = hidden.reshape(-1, transformer.config().hiddenSize());
    return transformer.head(replica.store(), Rows.select(rows, positions(manager)), training);
  }

  /**
   * The tokens that follow the wanted positions: the labels of a language model.
   *
   * @return int64 {@code [outputs, 1]}
   */
  public NDArray labels(NDManager manager) {
    long[] labels = new long[outputs];
    int next = 0;
    for (int i = 0; i < from.length; i++) {
      for (int t = from[i]; t < to[i]; t++) {
        labels[next++] = sequences.get(i)[t + 1];
      }
    }
    return manager.create(labels, new Shape(outputs, 1));
  }

  private NDArray ids(NDManager manager) {
    long[] ids = new long[sequences.size() * width];
    for (int i = 0; i < sequences.size(); i++) {
      int[] sequence = sequences.get(i);
      for (int t = 0; t < sequence.length; t++) {
        ids[i * width + t] = sequence[t];
      }
    }
    return manager.create(ids, new Shape(sequences.size(), width));
  }

  private NDArray positions(NDManager manager) {
    long[] positions = new long[outputs];
    int next = 0;
    for (int i = 0; i < from.length; i++) {
      for (int t = from[i]; t < to[i]; t++) {
        positions[next++] = (long) i * width + t;
      }
    }
    return manager.create(positions, new Shape(outputs));
  }

  /**
   * Log-probabilities of the labels.
   *
   * @param logits {@code [outputs, vocabulary]}
   * @param labels int64 {@code [outputs, 1]}
   * @return {@code [outputs]}
   */
  public static NDArray logProbabilities(NDArray logits, NDArray labels) {
    return logits.logSoftmax(-1).gather(labels, 1).reshape(labels.getShape().get(0));
  }

  /** Cuts a flat run of outputs into one array per sequence. */
  public float[][] bySequence(NDArray outputValues) {
    float[] flat = outputValues.toType(DataType.FLOAT32, false).toFloatArray();
    float[][] values = new float[from.length][];
    int next = 0;
    for (int i = 0; i < from.length; i++) {
      values[i] = java.util.Arrays.copyOfRange(flat, next, next + to[i] - from[i]);
      next += to[i] - from[i];
    }
    return values;
  }
}
