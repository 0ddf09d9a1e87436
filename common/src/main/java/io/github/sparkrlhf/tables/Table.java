package io.github.sparkrlhf.tables;

import java.util.Arrays;
import java.util.Locale;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructField;
import org.apache.spark.sql.types.StructType;

/** The tables of the suite. The first column of each is the run that wrote the row. */
public enum Table {
  /** One row per complete run; a run's rows elsewhere are visible because it stands here. */
  RUNS(
      """
      job STRING, status STRING, configuration STRING, summary STRING,
      started_at TIMESTAMP, completed_at TIMESTAMP, version STRING"""),
  /** One row per vote: somebody compared two responses to a prompt. */
  COMPARISONS(
      """
      feedback_id STRING, original_id STRING, pair_id STRING, kind STRING, prompt STRING,
      messages ARRAY<STRUCT<role: STRING, content: STRING>>, response_a STRING,
      response_b STRING, swapped BOOLEAN, choice STRING, margin DOUBLE, annotator_id STRING,
      started_at TIMESTAMP, created_at TIMESTAMP, given_group STRING, group_key STRING,
      source STRING, split STRING, weight DOUBLE"""),
  /** One row per distinct unordered pair of responses to a prompt. */
  PAIRS(
      """
      pair_id STRING, prompt STRING, messages ARRAY<STRUCT<role: STRING, content: STRING>>,
      chosen STRING, rejected STRING, probability DOUBLE, tie_probability DOUBLE,
      decided BOOLEAN, vote_share DOUBLE, votes INT, ties INT, margin DOUBLE, weight DOUBLE,
      group_key STRING, source STRING, split STRING"""),
  /** One row per row of feedback that could not be used, with the reason. */
  QUARANTINE(
      """
      source STRING, feedback_id STRING, annotator_id STRING, reason STRING, detail STRING,
      row STRING"""),
  /** One row per judgement of a single response: a rating, or accepted (1) and rejected (0). */
  RATINGS(
      """
      feedback_id STRING, kind STRING, prompt STRING,
      messages ARRAY<STRUCT<role: STRING, content: STRING>>, response STRING, rating DOUBLE,
      annotator_id STRING, started_at TIMESTAMP, created_at TIMESTAMP, given_group STRING,
      group_key STRING, source STRING, split STRING"""),
  /** One row per annotator: how far their votes can be trusted, and why not. */
  ANNOTATORS(
      """
      annotator_id STRING, votes INT, accuracy DOUBLE, accuracy_low DOUBLE, accuracy_high DOUBLE,
      weight DOUBLE, confusion ARRAY<ARRAY<DOUBLE>>, agreement DOUBLE, position_bias DOUBLE,
      position_z DOUBLE, tie_share DOUBLE, median_seconds DOUBLE, contradictions INT,
      spam BOOLEAN, spam_reason STRING"""),
  /** How far annotators agree, over all and by source. */
  AGREEMENT(
      """
      source STRING, kind STRING, metric STRING, value DOUBLE, low DOUBLE, high DOUBLE,
      units BIGINT, judgements BIGINT"""),
  /** How often rules that do not read the text are right: the baselines of every reward model. */
  BIAS_AUDIT(
      """
      source STRING, split STRING, rule STRING, accuracy DOUBLE, low DOUBLE, high DOUBLE, n BIGINT,
      undecided BIGINT"""),
  /** What lies in each split, and how much of it also lies in another one: nothing. */
  SPLITS(
      """
      split STRING, share DOUBLE, `groups` BIGINT, prompts BIGINT, pairs BIGINT,
      comparisons BIGINT, shared_groups BIGINT, shared_prompts BIGINT,
      shared_near_duplicates BIGINT, shared_pairs BIGINT"""),
  /** One row per two prompts that say the same but for spelling or a few characters. */
  DUPLICATES(
      """
      kind STRING, prompt_a STRING, prompt_b STRING, similarity DOUBLE, group_key STRING"""),
  /** Counts of what is odd about a log: contradictions, cycles, duplicates, by source. */
  FEEDBACK_METRICS("source STRING, metric STRING, value BIGINT"),
  /** Measurements of reward models. */
  REWARD_METRICS(
      """
      model STRING, kind STRING, split STRING, slice STRING, slice_value STRING, metric STRING,
      value DOUBLE, low DOUBLE, high DOUBLE, n BIGINT"""),
  /** What reward models predict against what people say, bin by bin. */
  RELIABILITY(
      """
      model STRING, kind STRING, split STRING, method STRING, bin INT, n BIGINT,
      predicted DOUBLE, observed DOUBLE, low DOUBLE, high DOUBLE"""),
  /** What decides the scores of a reward model: its weights in words, and the words of texts. */
  EXPLANATIONS(
      """
      model STRING, kind STRING, explains STRING, row_id STRING, position INT, item STRING,
      value DOUBLE, terms ARRAY<STRING>"""),
  /** Measurements of reward models on pairs that they were not trained on, fold by fold. */
  REWARD_FOLDS(
      """
      candidate STRING, kind STRING, fold STRING, metric STRING, value DOUBLE, low DOUBLE,
      high DOUBLE, n BIGINT"""),
  /** Rewards of responses, written in parts: the iterations. */
  SCORES(
      """
      iteration INT, row_id STRING, prompt STRING, response STRING, score DOUBLE, model STRING,
      truncated BOOLEAN"""),
  /** Responses that were chosen by their scores, to learn from. */
  SELECTED("method STRING, row_id STRING, prompt STRING, response STRING, score DOUBLE"),
  /** What the best of n responses is worth, one row per n. */
  BEST_OF_N("n INT, score DOUBLE, low DOUBLE, high DOUBLE, kl_bound DOUBLE, prompts BIGINT"),
  /** What PPO sampled and learned from, one row per response. */
  ROLLOUTS(
      """
      iteration INT, rollout_id STRING, prompt_id STRING, sample INT, prompt STRING,
      response STRING, prompt_tokens ARRAY<INT>, response_tokens ARRAY<INT>, stopped BOOLEAN,
      sampler_logprobs ARRAY<FLOAT>, logprobs ARRAY<FLOAT>, ref_logprobs ARRAY<FLOAT>,
      `values` ARRAY<FLOAT>, rewards ARRAY<FLOAT>, advantages ARRAY<FLOAT>, returns ARRAY<FLOAT>,
      score DOUBLE, kl DOUBLE"""),
  /** One row per PPO iteration and metric. */
  PPO_METRICS("iteration INT, metric STRING, value DOUBLE"),
  /** One row per fine-tuning step and metric. */
  SFT_METRICS("step INT, epoch INT, metric STRING, value DOUBLE"),
  /** One row per step of direct preference optimisation and metric. */
  DPO_METRICS("step INT, epoch INT, metric STRING, value DOUBLE");

  /** The column that names the run, first in every table. */
  public static final String RUN_ID = "run_id";

  // Spark's type is immutable but does not say so.
  @SuppressWarnings("ImmutableEnumChecker")
  private final StructType schema;

  Table(String columns) {
    StructType run = new StructType().add(RUN_ID, DataTypes.StringType);
    this.schema = run.merge(StructType.fromDDL(columns), true);
  }

  /** The name in the catalog and, as a view of complete runs, in SQL. */
  public String tableName() {
    return name().toLowerCase(Locale.ROOT);
  }

  /** All columns but {@code run_id}, in their order. */
  public StructType schemaWithoutRun() {
    StructField[] fields = schema.fields();
    return new StructType(Arrays.copyOfRange(fields, 1, fields.length));
  }

  /** All columns in their order, {@code run_id} first. */
  public StructType schema() {
    return schema;
  }
}
