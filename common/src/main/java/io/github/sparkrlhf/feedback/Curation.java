package io.github.sparkrlhf.feedback;

import static org.apache.spark.sql.functions.coalesce;
import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.xxhash64;

import io.github.sparkrlhf.spark.Phases;
import io.github.sparkrlhf.tables.Run;
import io.github.sparkrlhf.tables.Table;
import java.util.Arrays;
import java.util.List;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.storage.StorageLevel;

/**
 * Turns comparisons into everything that is known about them: groups and splits without leaks, how
 * reliable annotators are, pairs with soft labels, agreement, biases. Writes the tables of a run.
 *
 * @param splits how groups are dealt into splits
 * @param nearDuplicates the Jaccard similarity from which two prompts count as one
 * @param method what the votes on a pair come to
 */
public record Curation(Splits splits, double nearDuplicates, ReliabilityMethod method) {

  /**
   * What there is to curate.
   *
   * @param votes the comparisons without responses, cheap to read again and again
   * @param comparisons the comparisons with their texts
   * @param ratings judgements of single responses
   * @param sources the names of the logs
   * @param strengths whether a vote may have a margin
   */
  public record Material(
      Dataset<Row> votes,
      Dataset<Row> comparisons,
      Dataset<Row> ratings,
      List<String> sources,
      boolean strengths) {}

  /**
   * Curates and writes all tables but {@code quarantine}.
   *
   * @param phases named in the Spark UI and timed on the console
   */
  public void write(Material material, Run run, Phases phases) {
    Dataset<Row> prompts = prompts(material.votes()).unionByName(prompts(material.ratings()));
    try (PromptGroups groups =
            phases.run("groups", () -> PromptGroups.of(prompts, nearDuplicates));
        Reliability estimate =
            phases.run("reliability", () -> Reliability.of(material.votes(), material.sources()))) {
      Dataset<Row> weights = estimate.weights();
      phases.run(
          "comparisons",
          () ->
              run.write(
                  Table.COMPARISONS,
                  fitted(
                      Table.COMPARISONS,
                      weighted(inSplits(material.comparisons(), groups), weights))));
      phases.run(
          "ratings",
          () ->
              run.write(
                  Table.RATINGS, fitted(Table.RATINGS, inSplits(material.ratings(), groups))));
      phases.run("pairs", () -> writePairs(material, estimate, run));
      phases.run("annotators", () -> run.write(Table.ANNOTATORS, estimate.annotators()));
      phases.run("duplicates", () -> run.write(Table.DUPLICATES, groups.duplicates()));
      phases.run("agreement", () -> run.write(Table.AGREEMENT, agreement(material, estimate, run)));
      phases.run(
          "contradictions",
          () -> run.write(Table.FEEDBACK_METRICS, contradictions(material, estimate, run)));
    }
    writeFindings(run, phases);
  }

  private Dataset<Row> agreement(Material material, Reliability estimate, Run run) {
    Dataset<Row> ratings =
        run.rows(Table.RATINGS)
            .withColumn("prompt_key", xxhash64(NormalizedText.identity(col("prompt"))));
    Dataset<Row> vectors =
        estimate
            .patterns()
            .vectors(ratings.sparkSession(), material.sources())
            .unionByName(Agreement.vectors(Agreement.ofRatings(ratings)));
    return Agreement.table(vectors, splits.seed());
  }

  private static Dataset<Row> contradictions(Material material, Reliability estimate, Run run) {
    Dataset<Row> pairs = run.rows(Table.PAIRS);
    return FeedbackMetrics.contradictions(
            pairs.sparkSession(), estimate.patterns(), material.sources())
        .unionByName(FeedbackMetrics.cycles(pairs));
  }

  /** What is found out by reading the run's own tables. */
  private void writeFindings(Run run, Phases phases) {
    Dataset<Row> comparisons = run.rows(Table.COMPARISONS);
    Dataset<Row> pairs = run.rows(Table.PAIRS);
    phases.run(
        "bias audit", () -> run.write(Table.BIAS_AUDIT, BiasAudit.table(comparisons, pairs)));
    phases.run(
        "splits",
        () ->
            run.write(
                Table.SPLITS,
                SplitProof.table(comparisons, pairs, splits, run.rows(Table.DUPLICATES))));
  }

  private static Dataset<Row> fitted(Table table, Dataset<Row> rows) {
    return rows.select(
        Arrays.stream(table.schemaWithoutRun().fieldNames()).map(rows::col).toArray(Column[]::new));
  }

  private static Dataset<Row> prompts(Dataset<Row> rows) {
    return rows.select(col("prompt"), col("given_group").as("group_key"));
  }

  /** With the group that a row's own group is part of, and its split. */
  private Dataset<Row> inSplits(Dataset<Row> rows, PromptGroups groups) {
    Dataset<Row> renamed = groups.renamed().withColumnRenamed("group_key", "given_group");
    return rows.join(renamed, new String[] {"given_group"}, "left")
        .withColumn("group_key", coalesce(col("component"), col("given_group")))
        .withColumn("split", splits.column(col("group_key")))
        .drop("component");
  }

  private static Dataset<Row> weighted(Dataset<Row> comparisons, Dataset<Row> weights) {
    return comparisons.join(weights, new String[] {"annotator_id"}, "left");
  }

  private long writePairs(Material material, Reliability estimate, Run run) {
    return switch (method) {
      case DAWID_SKENE -> writePairs(material, estimate, estimate.pairs(), run);
      case VOTES ->
          writePairs(material, estimate, PairAggregator.voteShares(material.votes()), run);
      case CROWD_BT -> {
        try (CrowdBradleyTerry scores = CrowdBradleyTerry.of(material.votes())) {
          yield writePairs(material, estimate, scores.pairs(), run);
        }
      }
    };
  }

  private static long writePairs(
      Material material, Reliability estimate, Dataset<Row> posterior, Run run) {
    Dataset<Row> weights = estimate.weights();
    Dataset<Row> tallies =
        PairAggregator.tallies(
                weighted(material.votes(), weights),
                posterior,
                material.sources(),
                material.strengths())
            .persist(StorageLevel.MEMORY_AND_DISK());
    try {
      return run.write(Table.PAIRS, PairAggregator.withTexts(tallies, run.rows(Table.COMPARISONS)));
    } finally {
      tallies.unpersist();
    }
  }
}
