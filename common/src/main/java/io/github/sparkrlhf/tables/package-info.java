/**
 * Schemas of all tables, the catalog they live in, and the atomic publishing of a run.
 *
 * <p>May depend on {@code spark}.
 */
package io.github.sparkrlhf.tables;
