package io.github.sparkrlhf.feedback;

import static org.apache.spark.sql.functions.struct;
import static org.apache.spark.sql.functions.xxhash64;

import org.apache.spark.sql.Column;

/**
 * Which of two responses counts as the first where nobody wrote down what the annotator saw: one of
 * them by hash, whatever the judgement. To put the better one first would look like a bias.
 */
final class FirstShown {
  private FirstShown() {}

  /** Whether {@code x} is the first; swapping the two swaps the answer. */
  static Column is(Column prompt, Column x, Column y) {
    return key(prompt, x).lt(key(prompt, y));
  }

  private static Column key(Column prompt, Column response) {
    return struct(xxhash64(prompt, response).as("hash"), response.as("response"));
  }
}
