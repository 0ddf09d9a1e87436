package io.github.sparkrlhf.lm;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.index.NDIndex;
import ai.djl.ndarray.types.Shape;
import java.util.Arrays;
import java.util.List;

/**
 * Decodes a batch of prompts token by token with a key/value cache. Prompts are left-padded; rows
 * that are finished can leave the batch. Use it in an inference {@link GradMode}.
 */
public final class Decoder implements AutoCloseable {
  private final Replica replica;
  private final NDManager manager;
  private final KeyValueCache cache;
  private final List<int[]> prompts;
  private final int width;
  private int[] padding;
  private int used;

  /**
   * A decoder for the prompts, before its first step.
   *
   * @param prompts token ids, none empty
   * @param maxNewTokens how many tokens it has room for
   */
  public Decoder(Replica replica, List<int[]> prompts, int maxNewTokens) {
    this.replica = replica;
    this.prompts = prompts;
    this.manager = replica.newManager();
    this.padding = new int[prompts.size()];
    this.width = prompts.stream().mapToInt(prompt -> prompt.length).max().orElseThrow();
    this.cache = new KeyValueCache(manager, replica.config(), prompts.size(), width + maxNewTokens);
  }

  /**
   * Reads the prompts.
   *
   * @return logits of the first new token, {@code [rows][vocabulary]} flat
   */
  public float[] prefill() {
    long[] ids = new long[prompts.size() * width];
    for (int row = 0; row < prompts.size(); row++) {
      int[] prompt = prompts.get(row);
      padding[row] = width - prompt.length;
      for (int t = 0; t < prompt.length; t++) {
        ids[row * width + padding[row] + t] = prompt[t];
      }
    }
    return logits(ids, width);
  }

  /**
   * Appends one token to each row.
   *
   * @param tokens one per row that is still in the batch
   * @return logits of the next token, {@code [rows][vocabulary]} flat
   */
  public float[] step(int[] tokens) {
    return logits(Arrays.stream(tokens).asLongStream().toArray(), 1);
  }

  /** Keeps only the given rows, in that order. */
  public void keep(int[] rows) {
    int[] kept = new int[rows.length];
    for (int i = 0; i < rows.length; i++) {
      kept[i] = padding[rows[i]];
    }
    padding = kept;
    try (NDManager scope = manager.newSubManager()) {
      cache.keep(scope.create(Arrays.stream(rows).asLongStream().toArray()));
    }
  }

  private float[] logits(long[] ids, int time) {
    try (NDManager scope = manager.newSubManager()) {
      Transformer transformer = replica.transformer();
      AttentionContext positions =
          AttentionContext.leftPadded(scope, replica.config(), padding, used, time);
      used += time;
      NDArray input = scope.create(ids, new Shape(padding.length, time));
      NDArray hidden = transformer.hidden(replica.store(), input, positions, cache, false);
      NDArray last = hidden.get(new NDIndex().addAllDim().addIndices(time - 1L).addAllDim());
      return transformer.head(replica.store(), last, false).toFloatArray();
    }
  }

  @Override
  public void close() {
    manager.close();
  }
}
