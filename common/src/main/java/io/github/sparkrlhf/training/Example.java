package io.github.sparkrlhf.training;

import java.io.Serializable;

/** A training row. */
public interface Example extends Serializable {
  /** A stable id, unique in the training set: it decides the row's lane. */
  String id();

  /** The length of its longest sequence in tokens, by which lanes are bucketed. */
  int length();

  /** Tokens of all its sequences, without padding. */
  default int tokenCount() {
    return length();
  }

  /** How many sequences it adds to a batch, which are padded to the longest one there. */
  default int sequences() {
    return 1;
  }
}
