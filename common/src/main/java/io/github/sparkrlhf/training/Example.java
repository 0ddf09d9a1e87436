package io.github.sparkrlhf.training;

import java.io.Serializable;

/** A training row. */
public interface Example extends Serializable {
  /** A stable id, unique in the training set: it decides the row's lane. */
  String id();

  /** Its length in tokens, by which lanes are bucketed. */
  int length();
}
