package io.github.sparkrlhf.jobs;

import static org.apache.spark.sql.functions.avg;
import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.lit;
import static org.apache.spark.sql.functions.when;

import io.github.sparkrlhf.feedback.PairAggregator;
import io.github.sparkrlhf.feedback.PairIdentity;
import io.github.sparkrlhf.reward.CrossValidation;
import io.github.sparkrlhf.spark.JobFailure;
import io.github.sparkrlhf.tables.Inputs;
import java.util.List;
import java.util.Set;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import picocli.CommandLine.Option;

/** What pairs are tested on: their own votes, or labels in another table. */
final class TestLabelOptions {
  private static final Set<String> PARTS =
      Set.of("test-filter", "test-prompt", "test-response-a", "test-response-b", "test-choice");

  @Option(
      names = "--test-labels",
      paramLabel = "PATH|TABLE",
      description =
          "Test on the labels of this Parquet path or table instead of the pairs' own votes; only pairs with a label there are tested, and a label is of a pair if prompt and both responses are the same, in either order.")
  private String input;

  @Option(
      names = "--test-filter",
      paramLabel = "EXPRESSION",
      defaultValue = "true",
      description = "Which rows of --test-labels count (default: ${DEFAULT-VALUE}).")
  private String filter;

  @Option(
      names = "--test-prompt",
      paramLabel = "EXPRESSION",
      defaultValue = "prompt",
      description = "The prompt in --test-labels (default: column ${DEFAULT-VALUE}).")
  private String prompt;

  @Option(
      names = "--test-response-a",
      paramLabel = "EXPRESSION",
      defaultValue = "response_a",
      description = "One response in --test-labels (default: column ${DEFAULT-VALUE}).")
  private String responseA;

  @Option(
      names = "--test-response-b",
      paramLabel = "EXPRESSION",
      defaultValue = "response_b",
      description = "The other response in --test-labels (default: column ${DEFAULT-VALUE}).")
  private String responseB;

  @Option(
      names = "--test-choice",
      paramLabel = "EXPRESSION",
      defaultValue = "choice",
      description =
          "The label in --test-labels: 'a', 'b' or 'tie'; several on one pair are averaged (default: column ${DEFAULT-VALUE}).")
  private String choice;

  void validate(Given given) {
    if (input == null) {
      given.refuse(PARTS, "it is about --test-labels");
    }
  }

  List<String> fingerprints(SparkSession spark) {
    return input == null ? List.of() : List.of(Inputs.fingerprint(spark, input));
  }

  /**
   * The pairs with {@link CrossValidation#TEST_PROBABILITY} and {@link
   * CrossValidation#TEST_DECIDED}.
   *
   * @throws JobFailure data quality, if a label is none
   */
  Dataset<Row> added(JobContext context, Dataset<Row> pairs) {
    if (input == null) {
      return pairs
          .withColumn(CrossValidation.TEST_PROBABILITY, col("probability"))
          .withColumn(CrossValidation.TEST_DECIDED, PairAggregator.isDecided(pairs));
    }
    Dataset<Row> labels = labels(context);
    Dataset<Row> identified =
        PairIdentity.added(
                pairs.select(
                    col("pair_id").as("own_id"),
                    col("prompt"),
                    col("chosen").as("response_a"),
                    col("rejected").as("response_b")))
            .join(labels, "pair_id")
            .select(
                col("own_id").as("pair_id"),
                when(col("swapped"), lit(1.0).minus(col("for_first")))
                    .otherwise(col("for_first"))
                    .as(CrossValidation.TEST_PROBABILITY))
            .withColumn(
                CrossValidation.TEST_DECIDED, col(CrossValidation.TEST_PROBABILITY).notEqual(0.5));
    return pairs.join(identified, new String[] {"pair_id"}, "left");
  }

  /** The share of labels for the first response of each pair: pair_id, for_first. */
  private Dataset<Row> labels(JobContext context) {
    Dataset<Row> rows = Inputs.read(context.spark(), context.tables(), input);
    Dataset<Row> votes =
        rows.where(Inputs.expression(rows, "--test-filter", filter))
            .select(
                Inputs.expression(rows, "--test-prompt", prompt).cast("string").as("prompt"),
                Inputs.expression(rows, "--test-response-a", responseA)
                    .cast("string")
                    .as("response_a"),
                Inputs.expression(rows, "--test-response-b", responseB)
                    .cast("string")
                    .as("response_b"),
                Inputs.expression(rows, "--test-choice", choice).cast("string").as("choice"));
    Column known = col("choice").isin("a", "b", "tie");
    List<Row> unknown = votes.where(known.equalTo(false).or(col("choice").isNull())).takeAsList(1);
    if (!unknown.isEmpty()) {
      throw JobFailure.dataQuality(
          "Cannot test on %s: choice '%s' is none of 'a', 'b', 'tie'; give --test-filter"
              .formatted(input, unknown.get(0).get(3)));
    }
    Column forFirst = col("choice").equalTo("a").notEqual(col("swapped"));
    return PairIdentity.added(votes)
        .groupBy("pair_id")
        .agg(
            avg(when(col("choice").equalTo("tie"), 0.5).when(forFirst, 1.0).otherwise(0.0))
                .as("for_first"));
  }
}
