package io.github.sparkrlhf.reward;

import io.github.sparkrlhf.training.Example;

/**
 * A response as numbers, with what it is worth.
 *
 * @param id tells prompt and response from all others
 * @param features standardised
 * @param target standardised
 * @param weight of the squared error
 */
record ResponseExample(String id, float[] features, float target, float weight) implements Example {
  private static final long serialVersionUID = 1L;

  @Override
  public int length() {
    return 1;
  }
}
