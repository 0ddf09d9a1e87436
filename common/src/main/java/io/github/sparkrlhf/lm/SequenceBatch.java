package io.github.sparkrlhf.lm;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.types.DataType;
import ai.djl.ndarray.types.Shape;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;

/**
 * Right-padded token sequences and, of each, the positions at which an output is wanted. Padding is
 * known by length, never by token id.
 */
public final class SequenceBatch {
  private final List<int[]> sequences;
  private final List<int[]> wanted;
  private final int width;
  private final int outputs;

  private SequenceBatch(List<int[]> sequences, List<int[]> wanted) {
    this.sequences = sequences;
    this.wanted = wanted;
    this.width = Math.max(1, sequences.stream().mapToInt(each -> each.length).max().orElse(1));
    this.outputs = wanted.stream().mapToInt(each -> each.length).sum();
  }

  /**
   * Outputs at the positions that predict the response: those before each of its tokens. There a
   * language model gives the distribution of the token, and a critic the value before it.
   *
   * @param sequences prompt followed by response
   * @param promptLengths number of prompt tokens of each, at least 1
   */
  public static SequenceBatch predictingResponses(List<int[]> sequences, int[] promptLengths) {
    List<int[]> wanted = new ArrayList<>();
    for (int i = 0; i < promptLengths.length; i++) {
      wanted.add(IntStream.range(promptLengths[i] - 1, sequences.get(i).length - 1).toArray());
    }
    return new SequenceBatch(sequences, wanted);
  }

  /**
   * Outputs at the positions before the marked tokens.
   *
   * @param marks as long as the sequences; the first token is not marked
   */
  public static SequenceBatch predicting(List<int[]> sequences, List<boolean[]> marks) {
    List<int[]> wanted = new ArrayList<>();
    for (boolean[] row : marks) {
      wanted.add(IntStream.range(0, row.length - 1).filter(t -> row[t + 1]).toArray());
    }
    return new SequenceBatch(sequences, wanted);
  }

  /** One output per sequence, at its last token. */
  public static SequenceBatch atLastTokens(List<int[]> sequences) {
    return new SequenceBatch(
        sequences, sequences.stream().map(each -> new int[] {each.length - 1}).toList());
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
    NDArray hidden = hidden(replica, manager, training);
    return replica.transformer().head(replica.store(), hidden, training);
  }

  /**
   * What both heads of one trunk say at the wanted positions.
   *
   * @param logits {@code [outputs, vocabulary]}
   * @param scores {@code [outputs]}
   */
  public record BothOutputs(NDArray logits, NDArray scores) {}

  /**
   * The outputs of both heads of one trunk at the wanted positions, sequence after sequence.
   *
   * @param manager owns all arrays of the pass
   */
  public BothOutputs bothOutputs(Replica replica, NDManager manager, boolean training) {
    NDArray hidden = hidden(replica, manager, training);
    Transformer transformer = replica.transformer();
    return new BothOutputs(
        transformer.head(replica.store(), hidden, training),
        transformer.scores(replica.store(), hidden, training).reshape(outputs));
  }

  /**
   * The head's output at the last token of each sequence, whatever positions are wanted: {@link
   * #outputs} of {@link #atLastTokens} at less cost, without a graph.
   *
   * @param manager owns all arrays of the pass
   * @return one score per sequence
   */
  public float[] scores(Replica replica, NDManager manager) {
    Transformer transformer = replica.transformer();
    int[] last = sequences.stream().mapToInt(each -> each.length - 1).toArray();
    NDArray hidden = transformer.hiddenAtLast(replica.store(), ids(manager), last);
    return transformer.head(replica.store(), hidden, false).toFloatArray();
  }

  /**
   * The cross entropy of the {@link #labels}, summed, in nats: without ever holding all logits.
   *
   * @param manager owns all arrays of the pass
   * @return a scalar
   */
  public NDArray crossEntropy(Replica replica, NDManager manager, boolean training) {
    NDArray hidden = hidden(replica, manager, training);
    NDArray labels = labels(manager).reshape(outputs);
    return replica.transformer().crossEntropy(replica.store(), hidden, labels, training);
  }

  private NDArray hidden(Replica replica, NDManager manager, boolean training) {
    Transformer transformer = replica.transformer();
    NDArray hidden = transformer.hidden(replica.store(), ids(manager), training);
    NDArray rows = hidden.reshape(-1, transformer.config().hiddenSize());
    return Rows.select(rows, positions(manager));
  }

  /**
   * The tokens that follow the wanted positions: the labels of a language model.
   *
   * @return int64 {@code [outputs, 1]}
   */
  public NDArray labels(NDManager manager) {
    long[] labels = new long[outputs];
    int next = 0;
    for (int i = 0; i < sequences.size(); i++) {
      for (int t : wanted.get(i)) {
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
    for (int i = 0; i < sequences.size(); i++) {
      for (int t : wanted.get(i)) {
        positions[next++] = (long) i * width + t;
      }
    }
    return manager.create(positions, new Shape(outputs));
  }

  /**
   * Logits over the temperature.
   *
   * @param logits {@code [..., vocabulary]}
   * @param temperature above 0
   */
  public static NDArray tempered(NDArray logits, double temperature) {
    return temperature == 1
        ? logits
        : logits.div(Scalars.of(logits.getManager(), (float) temperature));
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
    float[][] values = new float[sequences.size()][];
    int next = 0;
    for (int i = 0; i < values.length; i++) {
      int count = wanted.get(i).length;
      values[i] = Arrays.copyOfRange(flat, next, next + count);
      next += count;
    }
    return values;
  }
}
