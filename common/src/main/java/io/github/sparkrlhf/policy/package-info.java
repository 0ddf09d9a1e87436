/**
 * Sampling from a language model and rollouts.
 *
 * <p>May depend on {@code training}, {@code lm} and what lies below them.
 */
package io.github.sparkrlhf.policy;
