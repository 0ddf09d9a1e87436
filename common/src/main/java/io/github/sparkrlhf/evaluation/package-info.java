/**
 * What policies' responses are worth: win rates, overlap with references, diversity. Plain code
 * over texts and numbers.
 *
 * <p>May depend on {@code reward}, {@code feedback}, {@code spark}.
 */
package io.github.sparkrlhf.evaluation;
