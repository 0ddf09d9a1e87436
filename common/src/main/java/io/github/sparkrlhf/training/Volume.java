package io.github.sparkrlhf.training;

import java.io.Serializable;
import java.util.List;

/**
 * How much a training step computes on.
 *
 * @param tokens real ones
 * @param positions of the right-padded batches, padding included
 */
public record Volume(long tokens, long positions) implements Serializable {
  /** No batch. */
  public static final Volume NONE = new Volume(0, 0);

  /** The volume of one batch, whose sequences are padded to the longest. */
  static Volume of(List<? extends Example> batch) {
    long tokens = 0;
    long sequences = 0;
    int longest = 0;
    for (Example row : batch) {
      tokens += row.tokenCount();
      sequences += row.sequences();
      longest = Math.max(longest, row.length());
    }
    return new Volume(tokens, sequences * longest);
  }

  /** Both together. */
  public Volume plus(Volume other) {
    return new Volume(tokens + other.tokens, positions + other.positions);
  }

  /** The share of the positions that is padding, in [0, 1). */
  public double paddingShare() {
    return positions == 0 ? 0 : 1 - (double) tokens / positions;
  }
}
