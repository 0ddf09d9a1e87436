-- The tables in the catalog rlhf and, by their bare names, views of complete runs.
-- For sessions that are not the suite's: spark-sql -i conf/sql/tables.sql
-- Written by TablesPageTest from Table.java.

CREATE NAMESPACE IF NOT EXISTS rlhf.rlhf;

CREATE TABLE IF NOT EXISTS rlhf.rlhf.runs (
  run_id STRING COMMENT 'the run that wrote the row',
  job STRING COMMENT 'the command',
  status STRING COMMENT 'complete, or reopened while forget is at work on it',
  configuration STRING COMMENT 'all options that can change the result, and fingerprints of the inputs; JSON with sorted keys',
  summary STRING COMMENT 'what the job counted and measured; JSON with sorted keys',
  started_at TIMESTAMP COMMENT 'when it began',
  completed_at TIMESTAMP COMMENT 'when it became visible',
  version STRING COMMENT 'version of the suite'
) USING iceberg PARTITIONED BY (run_id)
TBLPROPERTIES ('write.distribution-mode'='none', 'write.parquet.dict-size-bytes'='131072', 'write.spark.fanout.enabled'='true', 'write.metadata.delete-after-commit.enabled'='true', 'write.metadata.previous-versions-max'='20');

CREATE TABLE IF NOT EXISTS rlhf.rlhf.comparisons (
  run_id STRING COMMENT 'the run that wrote the row',
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
  weight DOUBLE COMMENT 'how far the annotator counts, 0 to 1; null if unknown'
) USING iceberg PARTITIONED BY (run_id)
TBLPROPERTIES ('write.distribution-mode'='none', 'write.parquet.dict-size-bytes'='131072', 'write.spark.fanout.enabled'='true', 'write.metadata.delete-after-commit.enabled'='true', 'write.metadata.previous-versions-max'='20');

CREATE TABLE IF NOT EXISTS rlhf.rlhf.pairs (
  run_id STRING COMMENT 'the run that wrote the row',
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
  split STRING COMMENT 'train, validation or test'
) USING iceberg PARTITIONED BY (run_id)
TBLPROPERTIES ('write.distribution-mode'='none', 'write.parquet.dict-size-bytes'='131072', 'write.spark.fanout.enabled'='true', 'write.metadata.delete-after-commit.enabled'='true', 'write.metadata.previous-versions-max'='20');

CREATE TABLE IF NOT EXISTS rlhf.rlhf.quarantine (
  run_id STRING COMMENT 'the run that wrote the row',
  source STRING COMMENT 'name of the log',
  feedback_id STRING COMMENT 'id of the row',
  annotator_id STRING COMMENT 'who judged; null if unknown',
  reason STRING COMMENT 'code of the first rule that it breaks',
  detail STRING COMMENT 'what breaks the rule, such as the column',
  row STRING COMMENT 'the whole row as JSON'
) USING iceberg PARTITIONED BY (run_id)
TBLPROPERTIES ('write.distribution-mode'='none', 'write.parquet.dict-size-bytes'='131072', 'write.spark.fanout.enabled'='true', 'write.metadata.delete-after-commit.enabled'='true', 'write.metadata.previous-versions-max'='20');

CREATE TABLE IF NOT EXISTS rlhf.rlhf.ratings (
  run_id STRING COMMENT 'the run that wrote the row',
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
  split STRING COMMENT 'train, validation or test'
) USING iceberg PARTITIONED BY (run_id)
TBLPROPERTIES ('write.distribution-mode'='none', 'write.parquet.dict-size-bytes'='131072', 'write.spark.fanout.enabled'='true', 'write.metadata.delete-after-commit.enabled'='true', 'write.metadata.previous-versions-max'='20');

CREATE TABLE IF NOT EXISTS rlhf.rlhf.annotators (
  run_id STRING COMMENT 'the run that wrote the row',
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
  spam_reason STRING COMMENT 'the rule that flags them; null if none does'
) USING iceberg PARTITIONED BY (run_id)
TBLPROPERTIES ('write.distribution-mode'='none', 'write.parquet.dict-size-bytes'='131072', 'write.spark.fanout.enabled'='true', 'write.metadata.delete-after-commit.enabled'='true', 'write.metadata.previous-versions-max'='20');

CREATE TABLE IF NOT EXISTS rlhf.rlhf.agreement (
  run_id STRING COMMENT 'the run that wrote the row',
  source STRING COMMENT 'name of the log; all over all',
  kind STRING COMMENT 'what is compared: comparison or rating',
  metric STRING COMMENT 'raw_agreement, fleiss_kappa or krippendorff_alpha_...',
  value DOUBLE COMMENT 'the coefficient',
  low DOUBLE COMMENT 'lower end of its 95 % bootstrap interval over pairs',
  high DOUBLE COMMENT 'upper end of its 95 % bootstrap interval over pairs',
  units BIGINT COMMENT 'pairs or responses with at least two judgements',
  judgements BIGINT COMMENT 'judgements of them'
) USING iceberg PARTITIONED BY (run_id)
TBLPROPERTIES ('write.distribution-mode'='none', 'write.parquet.dict-size-bytes'='131072', 'write.spark.fanout.enabled'='true', 'write.metadata.delete-after-commit.enabled'='true', 'write.metadata.previous-versions-max'='20');

CREATE TABLE IF NOT EXISTS rlhf.rlhf.bias_audit (
  run_id STRING COMMENT 'the run that wrote the row',
  source STRING COMMENT 'name of the log; all over all',
  split STRING COMMENT 'train, validation or test; all over all',
  rule STRING COMMENT 'longer, more_lists, more_markdown or first',
  accuracy DOUBLE COMMENT 'share of the cases that the rule decides in which it is right',
  low DOUBLE COMMENT 'lower end of its 95 % Wilson interval',
  high DOUBLE COMMENT 'upper end of its 95 % Wilson interval',
  n BIGINT COMMENT 'pairs, or votes, that the rule decides',
  undecided BIGINT COMMENT 'those that it does not decide'
) USING iceberg PARTITIONED BY (run_id)
TBLPROPERTIES ('write.distribution-mode'='none', 'write.parquet.dict-size-bytes'='131072', 'write.spark.fanout.enabled'='true', 'write.metadata.delete-after-commit.enabled'='true', 'write.metadata.previous-versions-max'='20');

CREATE TABLE IF NOT EXISTS rlhf.rlhf.splits (
  run_id STRING COMMENT 'the run that wrote the row',
  split STRING COMMENT 'train, validation or test',
  share DOUBLE COMMENT 'the share of the groups that was asked for',
  groups BIGINT COMMENT 'groups in it',
  prompts BIGINT COMMENT 'distinct prompts in it',
  pairs BIGINT COMMENT 'pairs in it',
  comparisons BIGINT COMMENT 'comparisons in it',
  shared_groups BIGINT COMMENT 'groups that also lie in another split',
  shared_prompts BIGINT COMMENT 'prompts that also lie in another split',
  shared_near_duplicates BIGINT COMMENT 'prompts that nearly say what one in another split says',
  shared_pairs BIGINT COMMENT 'pairs that also lie in another split'
) USING iceberg PARTITIONED BY (run_id)
TBLPROPERTIES ('write.distribution-mode'='none', 'write.parquet.dict-size-bytes'='131072', 'write.spark.fanout.enabled'='true', 'write.metadata.delete-after-commit.enabled'='true', 'write.metadata.previous-versions-max'='20');

CREATE TABLE IF NOT EXISTS rlhf.rlhf.duplicates (
  run_id STRING COMMENT 'the run that wrote the row',
  kind STRING COMMENT 'exact (but for case, punctuation and invisible characters) or near',
  prompt_a STRING COMMENT 'the one prompt',
  prompt_b STRING COMMENT 'the other prompt',
  similarity DOUBLE COMMENT 'Jaccard similarity of their runs of five characters',
  group_key STRING COMMENT 'the group of both'
) USING iceberg PARTITIONED BY (run_id)
TBLPROPERTIES ('write.distribution-mode'='none', 'write.parquet.dict-size-bytes'='131072', 'write.spark.fanout.enabled'='true', 'write.metadata.delete-after-commit.enabled'='true', 'write.metadata.previous-versions-max'='20');

CREATE TABLE IF NOT EXISTS rlhf.rlhf.feedback_metrics (
  run_id STRING COMMENT 'the run that wrote the row',
  source STRING COMMENT 'name of the log; all over all',
  metric STRING COMMENT 'contradicted_pairs, self_contradictions, preference_cycles, ...',
  value BIGINT COMMENT 'how many there are'
) USING iceberg PARTITIONED BY (run_id)
TBLPROPERTIES ('write.distribution-mode'='none', 'write.parquet.dict-size-bytes'='131072', 'write.spark.fanout.enabled'='true', 'write.metadata.delete-after-commit.enabled'='true', 'write.metadata.previous-versions-max'='20');

CREATE TABLE IF NOT EXISTS rlhf.rlhf.reward_metrics (
  run_id STRING COMMENT 'the run that wrote the row',
  model STRING COMMENT 'last part of the name of the directory of the model',
  kind STRING COMMENT 'kind of the model',
  split STRING COMMENT 'train, validation or test',
  slice STRING COMMENT 'what the measured pairs have in common: all, source, group, length_gap, agreement or feedback_kind',
  slice_value STRING COMMENT 'which value they have',
  metric STRING COMMENT 'what is measured',
  value DOUBLE COMMENT 'the measurement',
  low DOUBLE COMMENT 'lower end of its 95 % interval',
  high DOUBLE COMMENT 'upper end of its 95 % interval',
  n BIGINT COMMENT 'pairs, votes or annotators'
) USING iceberg PARTITIONED BY (run_id)
TBLPROPERTIES ('write.distribution-mode'='none', 'write.parquet.dict-size-bytes'='131072', 'write.spark.fanout.enabled'='true', 'write.metadata.delete-after-commit.enabled'='true', 'write.metadata.previous-versions-max'='20');

CREATE TABLE IF NOT EXISTS rlhf.rlhf.reliability (
  run_id STRING COMMENT 'the run that wrote the row',
  model STRING COMMENT 'last part of the name of the directory of the model',
  kind STRING COMMENT 'kind of the model',
  split STRING COMMENT 'train, validation or test',
  method STRING COMMENT 'calibration: none, temperature or isotonic',
  bin INT COMMENT 'number of the bin',
  n BIGINT COMMENT 'pairs in it',
  predicted DOUBLE COMMENT 'mean probability of the response that the model prefers',
  observed DOUBLE COMMENT 'share of people who prefer it',
  low DOUBLE COMMENT 'lower end of the 95 % Wilson interval of observed',
  high DOUBLE COMMENT 'upper end of the 95 % Wilson interval of observed'
) USING iceberg PARTITIONED BY (run_id)
TBLPROPERTIES ('write.distribution-mode'='none', 'write.parquet.dict-size-bytes'='131072', 'write.spark.fanout.enabled'='true', 'write.metadata.delete-after-commit.enabled'='true', 'write.metadata.previous-versions-max'='20');

CREATE TABLE IF NOT EXISTS rlhf.rlhf.explanations (
  run_id STRING COMMENT 'the run that wrote the row',
  model STRING COMMENT 'last part of the name of the directory of the model',
  kind STRING COMMENT 'kind of the model',
  explains STRING COMMENT 'weight or word',
  row_id STRING COMMENT 'the response that the word stands in; null for weights',
  position INT COMMENT 'rank of the weight or position of the word, from 0',
  item STRING COMMENT 'the feature or the word',
  value DOUBLE COMMENT 'the weight, or the score minus that of the response without the word',
  terms ARRAY<STRING> COMMENT 'what falls into a bucket of the feature, the most frequent first'
) USING iceberg PARTITIONED BY (run_id)
TBLPROPERTIES ('write.distribution-mode'='none', 'write.parquet.dict-size-bytes'='131072', 'write.spark.fanout.enabled'='true', 'write.metadata.delete-after-commit.enabled'='true', 'write.metadata.previous-versions-max'='20');

CREATE TABLE IF NOT EXISTS rlhf.rlhf.reward_folds (
  run_id STRING COMMENT 'the run that wrote the row',
  candidate STRING COMMENT 'name of the candidate',
  kind STRING COMMENT 'kind of the model',
  fold STRING COMMENT 'the fold; null over all',
  metric STRING COMMENT 'accuracy, mean_fold_accuracy, lift, log_loss, ece, ...',
  value DOUBLE COMMENT 'the measurement',
  low DOUBLE COMMENT 'lower end of its 95 % interval',
  high DOUBLE COMMENT 'upper end of its 95 % interval',
  n BIGINT COMMENT 'pairs or folds'
) USING iceberg PARTITIONED BY (run_id)
TBLPROPERTIES ('write.distribution-mode'='none', 'write.parquet.dict-size-bytes'='131072', 'write.spark.fanout.enabled'='true', 'write.metadata.delete-after-commit.enabled'='true', 'write.metadata.previous-versions-max'='20');

CREATE TABLE IF NOT EXISTS rlhf.rlhf.scores (
  run_id STRING COMMENT 'the run that wrote the row',
  iteration INT COMMENT 'number of the part in which it was written',
  row_id STRING COMMENT 'id of the row',
  prompt STRING COMMENT 'the prompt',
  response STRING COMMENT 'the response',
  score DOUBLE COMMENT 'its reward; scores of one prompt can be compared',
  model STRING COMMENT 'last part of the name of the directory of the model',
  truncated BOOLEAN COMMENT 'whether the texts are longer than the model reads'
) USING iceberg PARTITIONED BY (run_id)
TBLPROPERTIES ('write.distribution-mode'='none', 'write.parquet.dict-size-bytes'='131072', 'write.spark.fanout.enabled'='true', 'write.metadata.delete-after-commit.enabled'='true', 'write.metadata.previous-versions-max'='20');

CREATE TABLE IF NOT EXISTS rlhf.rlhf.selected (
  run_id STRING COMMENT 'the run that wrote the row',
  method STRING COMMENT 'best-of-n or rejection-sample',
  row_id STRING COMMENT 'id of the row',
  prompt STRING COMMENT 'the prompt',
  response STRING COMMENT 'the response',
  score DOUBLE COMMENT 'its reward'
) USING iceberg PARTITIONED BY (run_id)
TBLPROPERTIES ('write.distribution-mode'='none', 'write.parquet.dict-size-bytes'='131072', 'write.spark.fanout.enabled'='true', 'write.metadata.delete-after-commit.enabled'='true', 'write.metadata.previous-versions-max'='20');

CREATE TABLE IF NOT EXISTS rlhf.rlhf.best_of_n (
  run_id STRING COMMENT 'the run that wrote the row',
  n INT COMMENT 'how many responses there are to choose from',
  score DOUBLE COMMENT 'expected score of the best of them',
  low DOUBLE COMMENT 'lower end of its 95 % interval over prompts',
  high DOUBLE COMMENT 'upper end of its 95 % interval over prompts',
  kl_bound DOUBLE COMMENT 'log n - (n - 1) / n nats: the most that the KL to the policy can be',
  prompts BIGINT COMMENT 'prompts with enough responses'
) USING iceberg PARTITIONED BY (run_id)
TBLPROPERTIES ('write.distribution-mode'='none', 'write.parquet.dict-size-bytes'='131072', 'write.spark.fanout.enabled'='true', 'write.metadata.delete-after-commit.enabled'='true', 'write.metadata.previous-versions-max'='20');

CREATE TABLE IF NOT EXISTS rlhf.rlhf.rollouts (
  run_id STRING COMMENT 'the run that wrote the row',
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
  values ARRAY<FLOAT> COMMENT 'what the critic expects at each response token',
  rewards ARRAY<FLOAT> COMMENT 'reward at each response token: KL penalty, score at the end',
  advantages ARRAY<FLOAT> COMMENT 'advantage of each response token, whitened',
  returns ARRAY<FLOAT> COMMENT 'return at each response token',
  score DOUBLE COMMENT 'score of the reward model after scaling and penalty',
  kl DOUBLE COMMENT 'sum over tokens of logprobs - ref_logprobs, nats'
) USING iceberg PARTITIONED BY (run_id)
TBLPROPERTIES ('write.distribution-mode'='none', 'write.parquet.dict-size-bytes'='131072', 'write.spark.fanout.enabled'='true', 'write.metadata.delete-after-commit.enabled'='true', 'write.metadata.previous-versions-max'='20');

CREATE TABLE IF NOT EXISTS rlhf.rlhf.labelling_tasks (
  run_id STRING COMMENT 'the run that wrote the row',
  task_id STRING COMMENT 'id of the pair, as pair_id in pairs',
  rank INT COMMENT 'from 1 in the order in which they were chosen',
  prompt STRING COMMENT 'the prompt',
  response_a STRING COMMENT 'the response that is shown first',
  response_b STRING COMMENT 'the other response',
  probability DOUBLE COMMENT 'P(response_a is better), the mean over reward models',
  disagreement DOUBLE COMMENT 'of the reward models: entropy of the mean probability less the mean of the entropies, nats',
  similarity DOUBLE COMMENT 'to the task chosen before that is most alike: common words over all words, 0 to 1'
) USING iceberg PARTITIONED BY (run_id)
TBLPROPERTIES ('write.distribution-mode'='none', 'write.parquet.dict-size-bytes'='131072', 'write.spark.fanout.enabled'='true', 'write.metadata.delete-after-commit.enabled'='true', 'write.metadata.previous-versions-max'='20');

CREATE TABLE IF NOT EXISTS rlhf.rlhf.ppo_metrics (
  run_id STRING COMMENT 'the run that wrote the row',
  iteration INT COMMENT 'iteration; 0 is the policy before, the last the policy after',
  metric STRING COMMENT 'name, as trl has it',
  value DOUBLE COMMENT 'the measurement'
) USING iceberg PARTITIONED BY (run_id)
TBLPROPERTIES ('write.distribution-mode'='none', 'write.parquet.dict-size-bytes'='131072', 'write.spark.fanout.enabled'='true', 'write.metadata.delete-after-commit.enabled'='true', 'write.metadata.previous-versions-max'='20');

CREATE TABLE IF NOT EXISTS rlhf.rlhf.sft_metrics (
  run_id STRING COMMENT 'the run that wrote the row',
  step INT COMMENT 'step, from 1; of a validation the steps before it',
  epoch INT COMMENT 'epoch, from 0; of a validation the epochs before it',
  metric STRING COMMENT 'loss, gradient_norm, lr, tokens, validation_loss or validation_perplexity',
  value DOUBLE COMMENT 'the measurement'
) USING iceberg PARTITIONED BY (run_id)
TBLPROPERTIES ('write.distribution-mode'='none', 'write.parquet.dict-size-bytes'='131072', 'write.spark.fanout.enabled'='true', 'write.metadata.delete-after-commit.enabled'='true', 'write.metadata.previous-versions-max'='20');

CREATE TABLE IF NOT EXISTS rlhf.rlhf.dpo_metrics (
  run_id STRING COMMENT 'the run that wrote the row',
  step INT COMMENT 'step, from 1; of a validation the steps before it',
  epoch INT COMMENT 'epoch, from 0; of a validation the epochs before it',
  metric STRING COMMENT 'loss, rewards/chosen, rewards/rejected, rewards/accuracies, rewards/margins and others; see dpo.md',
  value DOUBLE COMMENT 'the measurement'
) USING iceberg PARTITIONED BY (run_id)
TBLPROPERTIES ('write.distribution-mode'='none', 'write.parquet.dict-size-bytes'='131072', 'write.spark.fanout.enabled'='true', 'write.metadata.delete-after-commit.enabled'='true', 'write.metadata.previous-versions-max'='20');

CREATE TABLE IF NOT EXISTS rlhf.rlhf.evaluations (
  run_id STRING COMMENT 'the run that wrote the row',
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
  prompts STRING COMMENT 'hash of all prompts: only rows with the same can be compared'
) USING iceberg PARTITIONED BY (run_id)
TBLPROPERTIES ('write.distribution-mode'='none', 'write.parquet.dict-size-bytes'='131072', 'write.spark.fanout.enabled'='true', 'write.metadata.delete-after-commit.enabled'='true', 'write.metadata.previous-versions-max'='20');

CREATE OR REPLACE TEMPORARY VIEW `runs` AS SELECT * FROM rlhf.rlhf.runs WHERE run_id IN (SELECT run_id FROM rlhf.rlhf.runs WHERE status = 'complete');
CREATE OR REPLACE TEMPORARY VIEW `comparisons` AS SELECT * FROM rlhf.rlhf.comparisons WHERE run_id IN (SELECT run_id FROM rlhf.rlhf.runs WHERE status = 'complete');
CREATE OR REPLACE TEMPORARY VIEW `pairs` AS SELECT * FROM rlhf.rlhf.pairs WHERE run_id IN (SELECT run_id FROM rlhf.rlhf.runs WHERE status = 'complete');
CREATE OR REPLACE TEMPORARY VIEW `quarantine` AS SELECT * FROM rlhf.rlhf.quarantine WHERE run_id IN (SELECT run_id FROM rlhf.rlhf.runs WHERE status = 'complete');
CREATE OR REPLACE TEMPORARY VIEW `ratings` AS SELECT * FROM rlhf.rlhf.ratings WHERE run_id IN (SELECT run_id FROM rlhf.rlhf.runs WHERE status = 'complete');
CREATE OR REPLACE TEMPORARY VIEW `annotators` AS SELECT * FROM rlhf.rlhf.annotators WHERE run_id IN (SELECT run_id FROM rlhf.rlhf.runs WHERE status = 'complete');
CREATE OR REPLACE TEMPORARY VIEW `agreement` AS SELECT * FROM rlhf.rlhf.agreement WHERE run_id IN (SELECT run_id FROM rlhf.rlhf.runs WHERE status = 'complete');
CREATE OR REPLACE TEMPORARY VIEW `bias_audit` AS SELECT * FROM rlhf.rlhf.bias_audit WHERE run_id IN (SELECT run_id FROM rlhf.rlhf.runs WHERE status = 'complete');
CREATE OR REPLACE TEMPORARY VIEW `splits` AS SELECT * FROM rlhf.rlhf.splits WHERE run_id IN (SELECT run_id FROM rlhf.rlhf.runs WHERE status = 'complete');
CREATE OR REPLACE TEMPORARY VIEW `duplicates` AS SELECT * FROM rlhf.rlhf.duplicates WHERE run_id IN (SELECT run_id FROM rlhf.rlhf.runs WHERE status = 'complete');
CREATE OR REPLACE TEMPORARY VIEW `feedback_metrics` AS SELECT * FROM rlhf.rlhf.feedback_metrics WHERE run_id IN (SELECT run_id FROM rlhf.rlhf.runs WHERE status = 'complete');
CREATE OR REPLACE TEMPORARY VIEW `reward_metrics` AS SELECT * FROM rlhf.rlhf.reward_metrics WHERE run_id IN (SELECT run_id FROM rlhf.rlhf.runs WHERE status = 'complete');
CREATE OR REPLACE TEMPORARY VIEW `reliability` AS SELECT * FROM rlhf.rlhf.reliability WHERE run_id IN (SELECT run_id FROM rlhf.rlhf.runs WHERE status = 'complete');
CREATE OR REPLACE TEMPORARY VIEW `explanations` AS SELECT * FROM rlhf.rlhf.explanations WHERE run_id IN (SELECT run_id FROM rlhf.rlhf.runs WHERE status = 'complete');
CREATE OR REPLACE TEMPORARY VIEW `reward_folds` AS SELECT * FROM rlhf.rlhf.reward_folds WHERE run_id IN (SELECT run_id FROM rlhf.rlhf.runs WHERE status = 'complete');
CREATE OR REPLACE TEMPORARY VIEW `scores` AS SELECT * FROM rlhf.rlhf.scores WHERE run_id IN (SELECT run_id FROM rlhf.rlhf.runs WHERE status = 'complete');
CREATE OR REPLACE TEMPORARY VIEW `selected` AS SELECT * FROM rlhf.rlhf.selected WHERE run_id IN (SELECT run_id FROM rlhf.rlhf.runs WHERE status = 'complete');
CREATE OR REPLACE TEMPORARY VIEW `best_of_n` AS SELECT * FROM rlhf.rlhf.best_of_n WHERE run_id IN (SELECT run_id FROM rlhf.rlhf.runs WHERE status = 'complete');
CREATE OR REPLACE TEMPORARY VIEW `rollouts` AS SELECT * FROM rlhf.rlhf.rollouts WHERE run_id IN (SELECT run_id FROM rlhf.rlhf.runs WHERE status = 'complete');
CREATE OR REPLACE TEMPORARY VIEW `labelling_tasks` AS SELECT * FROM rlhf.rlhf.labelling_tasks WHERE run_id IN (SELECT run_id FROM rlhf.rlhf.runs WHERE status = 'complete');
CREATE OR REPLACE TEMPORARY VIEW `ppo_metrics` AS SELECT * FROM rlhf.rlhf.ppo_metrics WHERE run_id IN (SELECT run_id FROM rlhf.rlhf.runs WHERE status = 'complete');
CREATE OR REPLACE TEMPORARY VIEW `sft_metrics` AS SELECT * FROM rlhf.rlhf.sft_metrics WHERE run_id IN (SELECT run_id FROM rlhf.rlhf.runs WHERE status = 'complete');
CREATE OR REPLACE TEMPORARY VIEW `dpo_metrics` AS SELECT * FROM rlhf.rlhf.dpo_metrics WHERE run_id IN (SELECT run_id FROM rlhf.rlhf.runs WHERE status = 'complete');
CREATE OR REPLACE TEMPORARY VIEW `evaluations` AS SELECT * FROM rlhf.rlhf.evaluations WHERE run_id IN (SELECT run_id FROM rlhf.rlhf.runs WHERE status = 'complete');
