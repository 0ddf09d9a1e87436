package io.github.sparkrlhf.ppo;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.types.Shape;
import java.util.List;
import java.util.function.Function;

/** The responses of a micro-batch as arrays over all their tokens, response after response. */
final class TokenArrays {
  private final NDManager manager;
  private final List<PpoExample> rows;
  private final int maxNewTokens;
  private final int size;

  /** Arrays that live as long as the manager. */
  TokenArrays(NDManager manager, List<PpoExample> rows, int maxNewTokens) {
    this.manager = manager;
    this.rows = rows;
    this.maxNewTokens = maxNewTokens;
    this.size = rows.stream().mapToInt(row -> row.response().length).sum();
  }

  /**
   * What the rows have of each token.
   *
   * @return {@code [tokens]}
   */
  NDArray of(Function<PpoExample, float[]> field) {
    float[] values = new float[size];
    int next = 0;
    for (PpoExample row : rows) {
      float[] part = field.apply(row);
      System.arraycopy(part, 0, values, next, part.length);
      next += part.length;
    }
    return manager.create(values, new Shape(size));
  }

  /**
   * The weighted sum of losses.
   *
   * @param losses {@code [tokens]}
   * @return a scalar
   */
  NDArray sum(NDArray losses, Averaging averaging) {
    if (averaging == Averaging.TOKENS) {
      return losses.sum();
    }
    float[] weights = new float[size];
    int token = 0;
    for (PpoExample row : rows) {
      for (int t = 0; t < row.response().length; t++) {
        weights[token++] = (float) averaging.weight(row.response().length, maxNewTokens);
      }
    }
    return losses.mul(manager.create(weights, new Shape(size))).sum();
  }

  /**
   * What the log-ratio of each token counts in that of its response.
   *
   * @return {@code [responses, tokens]}, 0 where a token is of another response
   */
  NDArray shares(RatioLevel level) {
    float[] shares = new float[Math.multiplyExact(rows.size(), size)];
    int token = 0;
    for (int row = 0; row < rows.size(); row++) {
      int length = rows.get(row).response().length;
      for (int t = 0; t < length; t++) {
        shares[row * size + token++] = (float) level.share(length);
      }
    }
    return manager.create(shares, new Shape(rows.size(), size));
  }

  /**
   * Which token is of which response.
   *
   * @return {@code [tokens, responses]}, 1 or 0
   */
  NDArray members() {
    float[] members = new float[Math.multiplyExact(rows.size(), size)];
    int token = 0;
    for (int row = 0; row < rows.size(); row++) {
      for (int t = 0; t < rows.get(row).response().length; t++) {
        members[token++ * rows.size() + row] = 1;
      }
    }
    return manager.create(members, new Shape(size, rows.size()));
  }
}
