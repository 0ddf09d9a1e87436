package io.github.sparkrlhf.jobs;

import io.github.sparkrlhf.tables.Run;
import io.github.sparkrlhf.tables.Tables;
import java.io.PrintStream;
import java.util.List;
import org.apache.spark.sql.SparkSession;

/**
 * What a job works with.
 *
 * @param spark the session
 * @param tables the tables it reads
 * @param inputs fingerprints of everything it reads, taken once, before it reads anything; empty
 *     while they are taken
 * @param run the run it writes under; null while the inputs are fingerprinted, because the run's id
 *     depends on them
 * @param out where it tells what it did, one line per step
 */
public record JobContext(
    SparkSession spark, Tables tables, List<String> inputs, Run run, PrintStream out) {}
