/**
 * Small shared Spark helpers: job descriptions that a person understands in the Spark UI, the one
 * stable hash, the one source of counter-based random numbers.
 *
 * <p>May depend on nothing of this project.
 */
package io.github.sparkrlhf.spark;
