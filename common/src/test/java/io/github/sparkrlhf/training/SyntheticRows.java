package io.github.sparkrlhf.training;

import io.github.sparkrlhf.lm.TransformerConfig;
import io.github.sparkrlhf.spark.CounterRandom;
import java.util.ArrayList;
import java.util.List;

/** Rows of random tokens and a transformer that is small enough to train on them in a test. */
final class SyntheticRows {
  static final TransformerConfig CONFIG = TransformerConfig.llama(97, 32, 48, 2, 4, 32);

  private SyntheticRows() {}

  /** Rows of 2 to 24 tokens; a row depends on its number and the seed alone. */
  static List<TextExample> of(int count, long seed) {
    CounterRandom random = new CounterRandom(seed, "synthetic rows");
    List<TextExample> rows = new ArrayList<>();
    for (int row = 0; row < count; row++) {
      int[] prompt = tokens(random, row, 0, 1 + random.integer(8, row, 0));
      int[] response = tokens(random, row, 1, 1 + random.integer(16, row, 1));
      rows.add(new TextExample("row-" + row, prompt, response));
    }
    return rows;
  }

  private static int[] tokens(CounterRandom random, int row, int part, int length) {
    int[] tokens = new int[length];
    for (int t = 0; t < length; t++) {
      tokens[t] = random.integer(CONFIG.vocabularySize(), row, part, t);
    }
    return tokens;
  }
}
