/**
 * Data-parallel training: lanes, rounds, fixed-tree sums, the optimiser, schedules, checkpoints.
 *
 * <p>May depend on {@code lm} and what lies below it.
 */
package io.github.sparkrlhf.training;
