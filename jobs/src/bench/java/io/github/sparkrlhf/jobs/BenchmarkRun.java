package io.github.sparkrlhf.jobs;

import java.util.Map;

/**
 * What one run over the log took and came to.
 *
 * @param seconds the work alone: without the start of a JVM or of Spark
 * @param processSeconds from the start of the process to its end
 * @param phases the seconds of its parts, in their order
 * @param counts comparisons, pairs, and {@code quarantine <reason>}
 */
record BenchmarkRun(
    double seconds, double processSeconds, Map<String, Double> phases, Map<String, Long> counts) {}
