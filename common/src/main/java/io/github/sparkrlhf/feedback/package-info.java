/**
 * What people said: canonical comparisons, votes aggregated to pairs, quarantine, splits.
 *
 * <p>May depend on {@code tables}, {@code spark}.
 */
package io.github.sparkrlhf.feedback;
