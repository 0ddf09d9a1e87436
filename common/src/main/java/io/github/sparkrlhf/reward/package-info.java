/**
 * The {@code RewardModel} interface and its kinds, their training and evaluation.
 *
 * <p>May depend on {@code policy}, {@code training}, {@code lm}, {@code feedback} and what lies
 * below them.
 */
package io.github.sparkrlhf.reward;
