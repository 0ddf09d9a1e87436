package io.github.sparkrlhf.ppo;

import io.github.sparkrlhf.lm.Tokenizer;
import io.github.sparkrlhf.lm.TokenizerFile;
import io.github.sparkrlhf.policy.Rollout;
import io.github.sparkrlhf.policy.RolloutSampler;
import io.github.sparkrlhf.reward.RewardModel;
import io.github.sparkrlhf.spark.JobDescriptions;
import io.github.sparkrlhf.spark.JobFailure;
import io.github.sparkrlhf.tables.Inputs;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.BooleanType;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.NumericType;
import org.apache.spark.sql.types.StructType;

/**
 * What reward models and shaping expressions say of rollouts. Models read the response's text,
 * without the stop token.
 */
final class ResponseScorer {
  /** What shaping expressions are over. */
  static final String COLUMNS =
      "prompt STRING, response STRING, tokens INT, stopped BOOLEAN, repetition DOUBLE";

  private static final String ID = "rollout_id";
  private static final StructType SCHEMA = StructType.fromDDL(ID + " STRING, " + COLUMNS);
  private static final String SHAPING = "--shaping";

  private final SparkSession spark;
  private final RewardSources sources;
  private final List<Column> shaping;
  private final Tokenizer tokenizer;
  private final Map<String, String> prompts = new HashMap<>();

  /**
   * Scores in the order of the rollouts.
   *
   * @param raw of each model, [models][rows]
   * @param shaping sum of all terms, [rows]
   * @param watched of the watcher, if there is one, [rows]
   */
  record Scores(double[][] raw, double[] shaping, Optional<double[]> watched) {}

  /**
   * A scorer.
   *
   * @throws JobFailure usage, if a shaping expression is none, or gives no number
   */
  ResponseScorer(SparkSession spark, RewardSources sources, TokenizerFile tokenizer) {
    this.spark = spark;
    this.sources = sources;
    this.tokenizer = Tokenizer.of(tokenizer);
    Dataset<Row> none = spark.createDataFrame(List.<Row>of(), StructType.fromDDL(COLUMNS));
    this.shaping = sources.shaping().stream().map(sql -> number(none, sql)).toList();
  }

  private static Column number(Dataset<Row> rows, String sql) {
    Column column = Inputs.expression(rows, SHAPING, sql);
    DataType type = rows.select(column).schema().fields()[0].dataType();
    if (!(type instanceof NumericType || type instanceof BooleanType)) {
      throw JobFailure.usage(
          "Cannot evaluate %s '%s': it gives %s, not a number"
              .formatted(SHAPING, sql, type.simpleString()));
    }
    return column.cast("double");
  }

  /** The text of a response. */
  String text(Rollout rollout) {
    return tokenizer.decode(rollout.response());
  }

  /** The text of a rollout's prompt; known once it has been scored. */
  String promptText(Rollout rollout) {
    return prompts.get(rollout.promptId());
  }

  /**
   * Scores rollouts.
   *
   * @param all prompts, among them those of the rollouts
   * @throws JobFailure if a score or a shaping term is not finite
   */
  Scores of(List<Rollout> rollouts, List<RolloutSampler.Prompt> all) {
    if (prompts.isEmpty()) {
      all.forEach(prompt -> prompts.put(prompt.id(), prompt.text()));
    }
    List<Row> rows = new ArrayList<>();
    for (Rollout rollout : rollouts) {
      int[] response = rollout.response();
      rows.add(
          RowFactory.create(
              rollout.id(),
              promptText(rollout),
              text(rollout),
              response.length,
              rollout.stopped(),
              Repetition.within(response)));
    }
    Dataset<Row> responses = spark.createDataFrame(rows, SCHEMA);
    double[][] raw =
        sources.models().stream()
            .map(source -> scores(source.model(), responses, rollouts))
            .toArray(double[][]::new);
    return new Scores(
        raw,
        shaping(responses, rollouts),
        sources.watcher().map(watcher -> scores(watcher, responses, rollouts)));
  }

  private double[] scores(RewardModel model, Dataset<Row> responses, List<Rollout> rollouts) {
    Dataset<Row> scored =
        model
            .score(responses.select(ID, RewardModel.PROMPT, RewardModel.RESPONSE))
            .select(ID, RewardModel.SCORE);
    Map<String, Row> byId = byId(scored, "ppo: score responses");
    double[] scores = new double[rollouts.size()];
    for (int i = 0; i < scores.length; i++) {
      scores[i] = byId.get(rollouts.get(i).id()).getDouble(1);
      if (!Double.isFinite(scores[i])) {
        throw JobFailure.failure(
            "Cannot run PPO: the reward of response " + rollouts.get(i).id() + " is " + scores[i]);
      }
    }
    return scores;
  }

  private double[] shaping(Dataset<Row> responses, List<Rollout> rollouts) {
    double[] sums = new double[rollouts.size()];
    if (shaping.isEmpty()) {
      return sums;
    }
    List<Column> columns = new ArrayList<>(List.of(responses.col(ID)));
    columns.addAll(shaping);
    Map<String, Row> byId =
        byId(responses.select(columns.toArray(Column[]::new)), "ppo: shape rewards");
    for (int i = 0; i < sums.length; i++) {
      String id = rollouts.get(i).id();
      Row row = byId.get(id);
      for (int term = 0; term < shaping.size(); term++) {
        if (row.isNullAt(term + 1) || !Double.isFinite(row.getDouble(term + 1))) {
          throw JobFailure.failure(
              "Cannot shape the reward of response %s: %s '%s' gives %s"
                  .formatted(id, SHAPING, sources.shaping().get(term), row.get(term + 1)));
        }
        sums[i] += row.getDouble(term + 1);
      }
    }
    return sums;
  }

  private Map<String, Row> byId(Dataset<Row> rows, String description) {
    Map<String, Row> byId = new HashMap<>();
    JobDescriptions.described(spark.sparkContext(), description, rows::collectAsList)
        .forEach(row -> byId.put(row.getString(0), row));
    return byId;
  }
}
