/**
 * A page of HTML about runs: what their tables say, as figures, tables and plots.
 *
 * <p>May depend on {@code tables}, {@code spark}.
 */
package io.github.sparkrlhf.report;
