package io.github.sparkrlhf.reward;

import static org.apache.spark.sql.functions.array;
import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.explode;
import static org.apache.spark.sql.functions.length;
import static org.apache.spark.sql.functions.lit;
import static org.apache.spark.sql.functions.struct;

import io.github.sparkrlhf.spark.JobDescriptions;
import io.github.sparkrlhf.spark.JobFailure;
import io.github.sparkrlhf.training.Progress;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.storage.StorageLevel;

/**
 * Every pair is judged by a model that was fitted to the pairs of the other folds. What a trainer
 * {@linkplain RewardTrainer#prepare prepares} of each text is computed once for all folds; nothing
 * that is learned from pairs is shared between folds.
 */
public final class CrossValidation {
  /** The column with the name of the fold in which a pair is tested. */
  public static final String FOLD = "fold";

  /** The column with what the pair is tested on: the probability that chosen is better, or null. */
  public static final String TEST_PROBABILITY = "test_probability";

  /** The column that says whether the test's label prefers one response. */
  public static final String TEST_DECIDED = "test_decided";

  /**
   * A pair and what a model says about it that has not seen its fold.
   *
   * @param fold the fold
   * @param pairId the pair
   * @param difference score of the chosen response minus score of the other
   * @param probability that the chosen response is the better one, as the test says
   * @param decided whether the test prefers one response
   * @param longer characters of the chosen response minus characters of the other
   */
  public record Outcome(
      String fold,
      String pairId,
      double difference,
      double probability,
      boolean decided,
      int longer) {}

  private final Dataset<Row> pairs;
  private final List<String> folds;
  private final int parallelism;

  /**
   * Cross-validation over some pairs.
   *
   * @param pairs columns of the table {@code pairs}, {@link #FOLD}, {@link #TEST_PROBABILITY} and
   *     {@link #TEST_DECIDED}; pair_id is unique
   * @param parallelism how many folds are fitted at a time; changes no result
   * @throws JobFailure of kind data quality if there are not two folds
   */
  public CrossValidation(Dataset<Row> pairs, int parallelism) {
    this.pairs = pairs;
    this.parallelism = parallelism;
    this.folds =
        pairs.select(FOLD).distinct().sort(FOLD).collectAsList().stream()
            .map(row -> row.getString(0))
            .toList();
    if (folds.size() < 2) {
      throw JobFailure.dataQuality(
          "Cannot cross-validate: all pairs are in one fold, " + String.join(", ", folds));
    }
  }

  /** The names of the folds, sorted. */
  public List<String> folds() {
    return folds;
  }

  /**
   * Fits a model for each fold and applies it there.
   *
   * @param name what the trainer's models are called in messages
   * @param progress one step for each fold
   * @return the tested pairs, by fold and pair
   * @throws JobFailure if a score is not a finite number
   */
  public List<Outcome> outcomes(String name, RewardTrainer trainer, Progress progress) {
    Dataset<Row> prepared = trainer.prepare(pairs).persist(StorageLevel.MEMORY_AND_DISK());
    ExecutorService threads = Executors.newFixedThreadPool(parallelism);
    try {
      List<Future<List<Outcome>>> running = new ArrayList<>();
      for (String fold : folds) {
        running.add(
            threads.submit(
                () ->
                    JobDescriptions.described(
                        pairs.sparkSession().sparkContext(),
                        "crossvalidate: " + name + ", fold " + fold,
                        () -> outcomes(name, trainer, prepared, fold))));
      }
      List<Outcome> outcomes = new ArrayList<>();
      for (int fold = 0; fold < folds.size(); fold++) {
        List<Outcome> ofFold = running.get(fold).get();
        outcomes.addAll(ofFold);
        progress.step(fold + 1, "%s, %d pairs".formatted(folds.get(fold), ofFold.size()));
      }
      return outcomes;
    } catch (ExecutionException e) {
      throw e.getCause() instanceof RuntimeException cause
          ? cause
          : new IllegalStateException(e.getCause());
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException("interrupted", e);
    } finally {
      threads.shutdownNow();
      prepared.unpersist();
    }
  }

  private static List<Outcome> outcomes(
      String name, RewardTrainer trainer, Dataset<Row> prepared, String fold) {
    Dataset<Row> tested =
        prepared.where(col(FOLD).equalTo(fold).and(col(TEST_PROBABILITY).isNotNull()));
    Map<String, Outcome> outcomes = new TreeMap<>();
    tested
        .select(
            col("pair_id"),
            col(TEST_PROBABILITY),
            col(TEST_DECIDED),
            length(col("chosen")).minus(length(col("rejected"))))
        .collectAsList()
        .forEach(
            row ->
                outcomes.put(
                    row.getString(0),
                    new Outcome(
                        fold,
                        row.getString(0),
                        0,
                        row.getDouble(1),
                        row.getBoolean(2),
                        row.getInt(3))));
    if (outcomes.isEmpty()) {
      return List.of();
    }
    RewardModel model = trainer.fit(prepared.where(col(FOLD).notEqual(fold)));
    Dataset<Row> responses =
        tested
            .select(
                col("pair_id"),
                col(RewardModel.PROMPT),
                explode(
                        array(
                            struct(lit(1.0).as("sign"), col("chosen").as(RewardModel.RESPONSE)),
                            struct(lit(-1.0).as("sign"), col("rejected").as(RewardModel.RESPONSE))))
                    .as("side"))
            .select("pair_id", RewardModel.PROMPT, "side.sign", "side.response");
    for (Row row :
        model.score(responses).select("pair_id", "sign", RewardModel.SCORE).collectAsList()) {
      double score = row.getDouble(1) * row.getDouble(2);
      if (!Double.isFinite(score)) {
        throw JobFailure.failure(
            "Cannot cross-validate %s: pair %s has a score that is not a number"
                .formatted(name, row.getString(0)));
      }
      outcomes.computeIfPresent(
          row.getString(0),
          (id, pair) ->
              new Outcome(
                  fold,
                  id,
                  pair.difference() + score,
                  pair.probability(),
                  pair.decided(),
                  pair.longer()));
    }
    return List.copyOf(outcomes.values());
  }
}
