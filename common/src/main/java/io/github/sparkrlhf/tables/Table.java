package io.github.sparkrlhf.tables;

import java.util.Arrays;
import java.util.Locale;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructField;
import org.apache.spark.sql.types.StructType;

/**
 * The tables of the suite. The first column of each is the run that wrote the row.
 *
 * <p>What is said here of tables and columns stands in docs/tables.md and as comments in the
 * catalog.
 */
public enum Table {
  RUNS(
      "complete run; a run's rows elsewhere are visible because it stands here",
      "every job",
      """
      job STRING COMMENT 'the command',
      status STRING COMMENT 'complete, or reopened while forget is at work on it',
      configuration STRING COMMENT 'all options that can change the result, and fingerprints of the inputs; JSON with sorted keys',
      summary STRING COMMENT 'what the job counted and measured; JSON with sorted keys',
      started_at TIMESTAMP COMMENT 'when it began',
      completed_at TIMESTAMP COMMENT 'when it became visible',
      version STRING COMMENT 'version of the suite'\
      """),
  COMPARISONS(
      "vote: somebody compared two responses to a prompt",
      "pairs",
      """
      feedback_id STRING COMMENT 'id of the comparison, unique in the run',
      original_id STRING COMMENT 'ids of the rows of the log that it comes from',
      pair_id STRING COMMENT 'hash of the prompt and its two responses in either order',
      kind STRING COMMENT 'what people were asked for: comparison, rating, binary or ranking',
      prompt STRING COMMENT 'the prompt as text',
      messages ARRAY<STRUCT<role: STRING, content: STRING>> COMMENT 'the prompt as a conversation; null if the log has a text',
      response_a STRING COMMENT 'the response that was shown first, as far as the log says',
      response_b STRING COMMENT 'the other response',
      swapped BOOLEAN COMMENT 'whether response_b is the first of the two in UTF-8 order',
      choice STRING COMMENT 'a, b or tie',
      margin DOUBLE COMMENT 'strength of the choice, not negative; null if the log has none',
      annotator_id STRING COMMENT 'who judged; null if unknown',
      started_at TIMESTAMP COMMENT 'when they began; null if unknown',
      created_at TIMESTAMP COMMENT 'when they had judged; null if unknown',
      given_group STRING COMMENT 'the group as the log says it',
      group_key STRING COMMENT 'the group that lies in one split as a whole',
      source STRING COMMENT 'name of the log',
      split STRING COMMENT 'train, validation or test',
      weight DOUBLE COMMENT 'how far the annotator counts, 0 to 1; null if unknown'\
      """),
  PAIRS(
      "distinct unordered pair of responses to a prompt",
      "pairs, score, advantages",
      """
      pair_id STRING COMMENT 'hash of the prompt and its two responses in either order',
      prompt STRING COMMENT 'the prompt as text',
      messages ARRAY<STRUCT<role: STRING, content: STRING>> COMMENT 'the prompt as a conversation; null if the log has a text',
      chosen STRING COMMENT 'the response that is more probably the better one',
      rejected STRING COMMENT 'the other response',
      probability DOUBLE COMMENT 'P(chosen is better) + P(tie) / 2, from 0.5 to 1',
      tie_probability DOUBLE COMMENT 'P(neither is better)',
      decided BOOLEAN COMMENT 'whether chosen is more probable than a tie and than rejected; only such pairs count in accuracies',
      vote_share DOUBLE COMMENT 'share of the votes for chosen, ties half',
      votes INT COMMENT 'number of votes',
      ties INT COMMENT 'votes that neither is better',
      margin DOUBLE COMMENT 'mean strength of the votes, negative for rejected; without strengths 2 * vote_share - 1',
      weight DOUBLE COMMENT 'probability that at least one vote was informed, 0 to 1',
      group_key STRING COMMENT 'the group that lies in one split as a whole',
      source STRING COMMENT 'name of the log',
      split STRING COMMENT 'train, validation or test'\
      """),
  QUARANTINE(
      "row of feedback that could not be used",
      "pairs",
      """
      source STRING COMMENT 'name of the log',
      feedback_id STRING COMMENT 'id of the row',
      annotator_id STRING COMMENT 'who judged; null if unknown',
      reason STRING COMMENT 'code of the first rule that it breaks',
      detail STRING COMMENT 'what breaks the rule, such as the column',
      row STRING COMMENT 'the whole row as JSON'\
      """),
  RATINGS(
      "judgement of a single response: a rating, or accepted (1) and rejected (0)",
      "pairs",
      """
      feedback_id STRING COMMENT 'id of the judgement, unique in the run',
      kind STRING COMMENT 'rating or binary',
      prompt STRING COMMENT 'the prompt as text',
      messages ARRAY<STRUCT<role: STRING, content: STRING>> COMMENT 'the prompt as a conversation; null if the log has a text',
      response STRING COMMENT 'the response that was judged',
      rating DOUBLE COMMENT 'the rating on the scale of the log; 1 accepted, 0 rejected',
      annotator_id STRING COMMENT 'who judged; null if unknown',
      started_at TIMESTAMP COMMENT 'when they began; null if unknown',
      created_at TIMESTAMP COMMENT 'when they had judged; null if unknown',
      given_group STRING COMMENT 'the group as the log says it',
      group_key STRING COMMENT 'the group that lies in one split as a whole',
      source STRING COMMENT 'name of the log',
      split STRING COMMENT 'train, validation or test'\
      """),
  ANNOTATORS(
      "annotator: how far their votes can be trusted, and why not",
      "pairs",
      """
      annotator_id STRING COMMENT 'who judged',
      votes INT COMMENT 'their votes',
      accuracy DOUBLE COMMENT 'expected share of their votes that name the truth',
      accuracy_low DOUBLE COMMENT 'lower end of its 95 % interval',
      accuracy_high DOUBLE COMMENT 'upper end of its 95 % interval',
      weight DOUBLE COMMENT 'how far they count: max(0, 2 * accuracy - 1) of decided votes on decided pairs',
      confusion ARRAY<ARRAY<DOUBLE>> COMMENT 'P(what they say | truth); rows: truth a, b, tie; columns: what they say',
      agreement DOUBLE COMMENT 'share of other votes on the same pairs that agree with theirs',
      position_bias DOUBLE COMMENT 'P(says a | truth b) - P(says b | truth a)',
      position_z DOUBLE COMMENT 'its distance from 0 in standard errors',
      tie_share DOUBLE COMMENT 'share of their votes that are ties',
      median_seconds DOUBLE COMMENT 'median time of a judgement; null if unknown',
      contradictions INT COMMENT 'pairs on which they voted for both responses',
      spam BOOLEAN COMMENT 'whether a rule flags them',
      spam_reason STRING COMMENT 'the rule that flags them; null if none does'\
      """),
  AGREEMENT(
      "coefficient, by source and over all",
      "pairs",
      """
      source STRING COMMENT 'name of the log; all over all',
      kind STRING COMMENT 'what is compared: comparison or rating',
      metric STRING COMMENT 'raw_agreement, fleiss_kappa or krippendorff_alpha_...',
      value DOUBLE COMMENT 'the coefficient',
      low DOUBLE COMMENT 'lower end of its 95 % bootstrap interval over pairs',
      high DOUBLE COMMENT 'upper end of its 95 % bootstrap interval over pairs',
      units BIGINT COMMENT 'pairs or responses with at least two judgements',
      judgements BIGINT COMMENT 'judgements of them'\
      """),
  BIAS_AUDIT(
      "rule that does not read the text, by source and split",
      "pairs",
      """
      source STRING COMMENT 'name of the log; all over all',
      split STRING COMMENT 'train, validation or test; all over all',
      rule STRING COMMENT 'longer, more_lists, more_markdown or first',
      accuracy DOUBLE COMMENT 'share of the cases that the rule decides in which it is right',
      low DOUBLE COMMENT 'lower end of its 95 % Wilson interval',
      high DOUBLE COMMENT 'upper end of its 95 % Wilson interval',
      n BIGINT COMMENT 'pairs, or votes, that the rule decides',
      undecided BIGINT COMMENT 'those that it does not decide'\
      """),
  SPLITS(
      "split: what lies in it, and how much of that also lies in another one (nothing)",
      "pairs",
      """
      split STRING COMMENT 'train, validation or test',
      share DOUBLE COMMENT 'the share of the groups that was asked for',
      `groups` BIGINT COMMENT 'groups in it',
      prompts BIGINT COMMENT 'distinct prompts in it',
      pairs BIGINT COMMENT 'pairs in it',
      comparisons BIGINT COMMENT 'comparisons in it',
      shared_groups BIGINT COMMENT 'groups that also lie in another split',
      shared_prompts BIGINT COMMENT 'prompts that also lie in another split',
      shared_near_duplicates BIGINT COMMENT 'prompts that nearly say what one in another split says',
      shared_pairs BIGINT COMMENT 'pairs that also lie in another split'\
      """),
  DUPLICATES(
      "two prompts that say the same but for spelling or a few characters",
      "pairs",
      """
      kind STRING COMMENT 'exact (but for case, punctuation and invisible characters) or near',
      prompt_a STRING COMMENT 'the one prompt',
      prompt_b STRING COMMENT 'the other prompt',
      similarity DOUBLE COMMENT 'Jaccard similarity of their runs of five characters',
      group_key STRING COMMENT 'the group of both'\
      """),
  FEEDBACK_METRICS(
      "count of what is odd: contradictions, cycles",
      "pairs",
      """
      source STRING COMMENT 'name of the log; all over all',
      metric STRING COMMENT 'contradicted_pairs, self_contradictions, preference_cycles, ...',
      value BIGINT COMMENT 'how many there are'\
      """),
  REWARD_METRICS(
      "measurement of a reward model",
      "reward",
      """
      model STRING COMMENT 'last part of the name of the directory of the model',
      kind STRING COMMENT 'kind of the model',
      split STRING COMMENT 'train, validation or test',
      slice STRING COMMENT 'what the measured pairs have in common: all, source, group, length_gap, agreement or feedback_kind',
      slice_value STRING COMMENT 'which value they have',
      metric STRING COMMENT 'what is measured',
      value DOUBLE COMMENT 'the measurement',
      low DOUBLE COMMENT 'lower end of its 95 % interval',
      high DOUBLE COMMENT 'upper end of its 95 % interval',
      n BIGINT COMMENT 'pairs, votes or annotators'\
      """),
  RELIABILITY(
      "bin of a reliability diagram: what a reward model predicts against what people say",
      "reward",
      """
      model STRING COMMENT 'last part of the name of the directory of the model',
      kind STRING COMMENT 'kind of the model',
      split STRING COMMENT 'train, validation or test',
      method STRING COMMENT 'calibration: none, temperature or isotonic',
      bin INT COMMENT 'number of the bin',
      n BIGINT COMMENT 'pairs in it',
      predicted DOUBLE COMMENT 'mean probability of the response that the model prefers',
      observed DOUBLE COMMENT 'share of people who prefer it',
      low DOUBLE COMMENT 'lower end of the 95 % Wilson interval of observed',
      high DOUBLE COMMENT 'upper end of the 95 % Wilson interval of observed'\
      """),
  EXPLANATIONS(
      "weight of a reward model, or word of a response",
      "explain",
      """
      model STRING COMMENT 'last part of the name of the directory of the model',
      kind STRING COMMENT 'kind of the model',
      explains STRING COMMENT 'weight or word',
      row_id STRING COMMENT 'the response that the word stands in; null for weights',
      position INT COMMENT 'rank of the weight or position of the word, from 0',
      item STRING COMMENT 'the feature or the word',
      value DOUBLE COMMENT 'the weight, or the score minus that of the response without the word',
      terms ARRAY<STRING> COMMENT 'what falls into a bucket of the feature, the most frequent first'\
      """),
  REWARD_FOLDS(
      "measurement of a candidate on pairs that it was not trained on",
      "crossvalidate",
      """
      candidate STRING COMMENT 'name of the candidate',
      kind STRING COMMENT 'kind of the model',
      fold STRING COMMENT 'the fold; null over all',
      metric STRING COMMENT 'accuracy, mean_fold_accuracy, lift, log_loss, ece, ...',
      value DOUBLE COMMENT 'the measurement',
      low DOUBLE COMMENT 'lower end of its 95 % interval',
      high DOUBLE COMMENT 'upper end of its 95 % interval',
      n BIGINT COMMENT 'pairs or folds'\
      """),
  SCORES(
      "scored response",
      "score, advantages",
      """
      iteration INT COMMENT 'number of the part in which it was written',
      row_id STRING COMMENT 'id of the row',
      prompt STRING COMMENT 'the prompt',
      response STRING COMMENT 'the response',
      score DOUBLE COMMENT 'its reward; scores of one prompt can be compared',
      model STRING COMMENT 'last part of the name of the directory of the model',
      truncated BOOLEAN COMMENT 'whether the texts are longer than the model reads'\
      """),
  SELECTED(
      "response that was chosen by its score, to learn from",
      "score, advantages",
      """
      method STRING COMMENT 'best-of-n or rejection-sample',
      row_id STRING COMMENT 'id of the row',
      prompt STRING COMMENT 'the prompt',
      response STRING COMMENT 'the response',
      score DOUBLE COMMENT 'its reward'\
      """),
  BEST_OF_N(
      "number n: what the best of n responses is worth",
      "score, advantages",
      """
      n INT COMMENT 'how many responses there are to choose from',
      score DOUBLE COMMENT 'expected score of the best of them',
      low DOUBLE COMMENT 'lower end of its 95 % interval over prompts',
      high DOUBLE COMMENT 'upper end of its 95 % interval over prompts',
      kl_bound DOUBLE COMMENT 'log n - (n - 1) / n nats: the most that the KL to the policy can be',
      prompts BIGINT COMMENT 'prompts with enough responses'\
      """),
  ROLLOUTS(
      "sampled response, with what the update saw",
      "ppo, rollout, advantages",
      """
      iteration INT COMMENT 'iteration of ppo; 0 is the policy before it, the last the policy after it. Of rollout the number of the part',
      rollout_id STRING COMMENT 'id of the prompt and number of the sample, unique in an iteration',
      prompt_id STRING COMMENT 'id of the prompt',
      sample INT COMMENT 'number of the sample, from 0',
      prompt STRING COMMENT 'the prompt, without special tokens',
      response STRING COMMENT 'the response, without special tokens',
      prompt_tokens ARRAY<INT> COMMENT 'token ids of the prompt',
      response_tokens ARRAY<INT> COMMENT 'token ids of the response, the stop token included',
      stopped BOOLEAN COMMENT 'whether the response ends with a stop token',
      sampler_logprobs ARRAY<FLOAT> COMMENT 'log-probability of each response token when it was drawn, nats',
      logprobs ARRAY<FLOAT> COMMENT 'the same, recomputed by the training forward pass; null of rollout, as all that follow',
      ref_logprobs ARRAY<FLOAT> COMMENT 'log-probability of each response token by the reference, nats',
      `values` ARRAY<FLOAT> COMMENT 'what the critic expects at each response token',
      rewards ARRAY<FLOAT> COMMENT 'reward at each response token: KL penalty, score at the end',
      advantages ARRAY<FLOAT> COMMENT 'advantage of each response token, whitened',
      returns ARRAY<FLOAT> COMMENT 'return at each response token',
      score DOUBLE COMMENT 'score of the reward model after scaling and penalty',
      kl DOUBLE COMMENT 'sum over tokens of logprobs - ref_logprobs, nats'\
      """),
  LABELLING_TASKS(
      "pair of responses that people should compare",
      "tasks",
      """
      task_id STRING COMMENT 'id of the pair, as pair_id in pairs',
      rank INT COMMENT 'from 1 in the order in which they were chosen',
      prompt STRING COMMENT 'the prompt',
      response_a STRING COMMENT 'the response that is shown first',
      response_b STRING COMMENT 'the other response',
      probability DOUBLE COMMENT 'P(response_a is better), the mean over reward models',
      disagreement DOUBLE COMMENT 'of the reward models: entropy of the mean probability less the mean of the entropies, nats',
      similarity DOUBLE COMMENT 'to the task chosen before that is most alike: common words over all words, 0 to 1'\
      """),
  PPO_METRICS(
      "iteration and metric",
      "ppo",
      """
      iteration INT COMMENT 'iteration; 0 is the policy before, the last the policy after',
      metric STRING COMMENT 'name, as trl has it',
      value DOUBLE COMMENT 'the measurement'\
      """),
  SFT_METRICS(
      "step and metric",
      "sft",
      """
      step INT COMMENT 'step, from 1; of a validation the steps before it',
      epoch INT COMMENT 'epoch, from 0; of a validation the epochs before it',
      metric STRING COMMENT 'loss, gradient_norm, lr, tokens, validation_loss or validation_perplexity',
      value DOUBLE COMMENT 'the measurement'\
      """),
  DPO_METRICS(
      "step of direct preference optimisation and metric",
      "dpo",
      """
      step INT COMMENT 'step, from 1; of a validation the steps before it',
      epoch INT COMMENT 'epoch, from 0; of a validation the epochs before it',
      metric STRING COMMENT 'loss, rewards/chosen, rewards/rejected, rewards/accuracies, rewards/margins and others; see dpo.md',
      value DOUBLE COMMENT 'the measurement'\
      """),
  EVALUATIONS(
      "measurement of the responses of a policy, alone or against others",
      "evaluate",
      """
      candidate STRING COMMENT 'name of the policy, as the command gives it',
      opponent STRING COMMENT 'what it is compared with: another candidate or reference; null if with nothing',
      source_run STRING COMMENT 'the run that has the responses',
      policy STRING COMMENT 'directory of the policy that gave them',
      reward STRING COMMENT 'last part of the name of the directory of the reward model; null if it takes no part',
      slice STRING COMMENT 'what the prompts have in common: all, prompt_length, or as the command names it',
      slice_value STRING COMMENT 'which value they have',
      metric STRING COMMENT 'what is measured',
      value DOUBLE COMMENT 'the measurement',
      low DOUBLE COMMENT 'lower end of its 95 % interval; null if it has none',
      high DOUBLE COMMENT 'upper end of its 95 % interval; null if it has none',
      n BIGINT COMMENT 'prompts, or of human votes the pairs',
      prompts STRING COMMENT 'hash of all prompts: only rows with the same can be compared'\
      """);

  /** The column that names the run, first in every table. */
  public static final String RUN_ID = "run_id";

  private final String row;
  private final String writers;

  // Spark's type is immutable but does not say so.
  @SuppressWarnings("ImmutableEnumChecker")
  private final StructType schema;

  Table(String row, String writers, String columns) {
    this.row = row;
    this.writers = writers;
    StructField runId =
        DataTypes.createStructField(RUN_ID, DataTypes.StringType, true)
            .withComment("the run that wrote the row");
    this.schema = new StructType().add(runId).merge(StructType.fromDDL(columns), true);
  }

  /** The name in the catalog and, as a view of complete runs, in SQL. */
  public String tableName() {
    return name().toLowerCase(Locale.ROOT);
  }

  /** What there is one row of, as in "one row per vote". */
  public String row() {
    return row;
  }

  /** The jobs that write it, separated by commas. */
  public String writers() {
    return writers;
  }

  /** All columns but {@code run_id}, in their order. */
  public StructType schemaWithoutRun() {
    StructField[] fields = schema.fields();
    return new StructType(Arrays.copyOfRange(fields, 1, fields.length));
  }

  /** All columns in their order, {@code run_id} first, with what they mean as comments. */
  public StructType schema() {
    return schema;
  }
}
