package io.github.sparkrlhf.lm;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.types.Shape;
import java.util.Arrays;
import java.util.List;

/**
 * Decodes rows token by token with a key/value cache. Rows come and go at any time: a prompt is
 * read once for all rows that answer it, and a finished row leaves its place to the last one. Use
 * it in an inference {@link GradMode}.
 */
public final class Decoder implements AutoCloseable {
  private final Replica replica;
  private final NDManager manager;
  private final KeyValueCache cache;
  private final int[] lengths;
  private int rows;

  /**
   * A decoder without rows.
   *
   * @param maxRows how many rows it has room for
   * @param capacity how many tokens a row has room for, prompt and response together
   */
  public Decoder(Replica replica, int maxRows, int capacity) {
    this.replica = replica;
    this.manager = replica.newManager();
    this.cache = new KeyValueCache(manager, replica.config(), maxRows, capacity);
    this.lengths = new int[maxRows];
  }

  /** How many rows there are. */
  public int rows() {
    return rows;
  }

  /**
   * Reads prompts and adds rows behind the others.
   *
   * @param prompts token ids, none empty
   * @param sources for each new row, the index of its prompt
   * @return logits of the first new token, {@code [prompts][vocabulary]} flat
   */
  public float[] admit(List<int[]> prompts, int[] sources) {
    int width = prompts.stream().mapToInt(prompt -> prompt.length).max().orElseThrow();
    long[] ids = new long[prompts.size() * width];
    long[] last = new long[prompts.size()];
    for (int i = 0; i < prompts.size(); i++) {
      int[] prompt = prompts.get(i);
      for (int t = 0; t < prompt.length; t++) {
        ids[i * width + t] = prompt[t];
      }
      last[i] = (long) i * width + prompt.length - 1;
    }
    try (NDManager scope = manager.newSubManager()) {
      cache.place(rows, scope.create(Arrays.stream(sources).asLongStream().toArray()));
      for (int source : sources) {
        lengths[rows++] = prompts.get(source).length;
      }
      NDArray input = scope.create(ids, new Shape(prompts.size(), width));
      AttentionContext positions = AttentionContext.causal(scope, replica.config(), width);
      return logits(scope, input, positions, scope.create(last));
    }
  }

  /**
   * Appends one token to each row.
   *
   * @param tokens one per row
   * @return logits of the next token, {@code [rows][vocabulary]} flat
   */
  public float[] step(int[] tokens) {
    try (NDManager scope = manager.newSubManager()) {
      int[] positions = Arrays.copyOf(lengths, rows);
      for (int row = 0; row < rows; row++) {
        lengths[row]++;
      }
      NDArray input =
          scope.create(Arrays.stream(tokens).asLongStream().toArray(), new Shape(rows, 1));
      AttentionContext step = AttentionContext.step(scope, replica.config(), positions);
      return logits(scope, input, step, null);
    }
  }

  /** Removes a row; the last row takes its place. */
  public void remove(int row) {
    rows--;
    if (row < rows) {
      lengths[row] = lengths[rows];
      cache.copyRow(rows, row);
    }
  }

  /**
   * Logits at some places of the input.
   *
   * @param places indices into the flattened input; null for all
   */
  private float[] logits(
      NDManager scope, NDArray input, AttentionContext positions, NDArray places) {
    Transformer transformer = replica.transformer();
    NDArray hidden =
        transformer
            .hidden(replica.store(), input, positions, cache, false)
            .reshape(-1, replica.config().hiddenSize());
    NDArray wanted = places == null ? hidden : Rows.select(hidden, places);
    return transformer.head(replica.store(), wanted, false).toFloatArray();
  }

  @Override
  public void close() {
    manager.close();
  }
}
