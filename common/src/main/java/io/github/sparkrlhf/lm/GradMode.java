package io.github.sparkrlhf.lm;

import ai.djl.pytorch.jni.JniUtils;

/**
 * Whether this thread records an autograd graph. PyTorch keeps that per thread, and on by default
 * in every thread but the one that loaded the engine; this scope sets it and restores it.
 */
public final class GradMode implements AutoCloseable {
  private final boolean before;

  private GradMode(boolean enabled) {
    TorchRuntime.load();
    this.before = JniUtils.isGradMode();
    JniUtils.setGradMode(enabled);
  }

  /** A scope that records a graph if {@code training}, and none otherwise. */
  public static GradMode of(boolean training) {
    return new GradMode(training);
  }

  /** A scope without a graph. */
  public static GradMode inference() {
    return new GradMode(false);
  }

  @Override
  public void close() {
    JniUtils.setGradMode(before);
  }
}
