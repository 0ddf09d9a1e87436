-- Views for analysts, over the views of complete runs (pairs, rollouts, …).
-- spark-rlhf sql --file conf/sql/views.sql "SELECT * FROM ppo_curves"
-- A statement ends with a semicolon at the end of a line.

-- One row per run and option: how two runs differ.
CREATE OR REPLACE TEMPORARY VIEW run_options AS
SELECT run_id, job, option, value
FROM runs
LATERAL VIEW explode(from_json(configuration, 'MAP<STRING, STRING>')) AS option, value;

-- One row per vote of a known person: the response they voted for (null for a tie) and the other.
CREATE OR REPLACE TEMPORARY VIEW votes AS
SELECT run_id, feedback_id, pair_id, annotator_id, source, split, prompt, choice,
  CASE choice WHEN 'a' THEN response_a WHEN 'b' THEN response_b END AS preferred,
  CASE choice WHEN 'a' THEN response_b WHEN 'b' THEN response_a END AS other,
  created_at, unix_timestamp(created_at) - unix_timestamp(started_at) AS seconds, weight
FROM comparisons
WHERE annotator_id IS NOT NULL;

-- One row per reward model: what it reaches on the test split.
CREATE OR REPLACE TEMPORARY VIEW reward_models AS
SELECT run_id, model, kind,
  max(value) FILTER (WHERE metric = 'accuracy') AS accuracy,
  max(low) FILTER (WHERE metric = 'accuracy') AS low,
  max(high) FILTER (WHERE metric = 'accuracy') AS high,
  max(n) FILTER (WHERE metric = 'accuracy') AS pairs,
  max(value) FILTER (WHERE metric = 'accuracy_always_longer') AS always_longer,
  max(value) FILTER (WHERE metric = 'lift_over_longer') AS lift_over_longer,
  max(value) FILTER (WHERE metric = 'log_loss') AS log_loss,
  max(value) FILTER (WHERE metric = 'ece') AS ece,
  max(value) FILTER (WHERE metric = 'length_correlation_pearson') AS length_correlation
FROM reward_metrics
WHERE split = 'test' AND slice = 'all'
GROUP BY run_id, model, kind;

-- One row per iteration of PPO, the metrics in columns.
CREATE OR REPLACE TEMPORARY VIEW ppo_curves AS
SELECT run_id, iteration,
  max(value) FILTER (WHERE metric = 'objective/raw_scores') AS reward,
  max(value) FILTER (WHERE metric = 'objective/kl') AS kl,
  max(value) FILTER (WHERE metric = 'kl_coef') AS kl_coefficient,
  max(value) FILTER (WHERE metric = 'policy/entropy_avg') AS entropy,
  max(value) FILTER (WHERE metric = 'response/length_mean') AS length,
  max(value) FILTER (WHERE metric = 'response/truncated_share') AS truncated_share,
  max(value) FILTER (WHERE metric = 'response/length_score_correlation') AS length_correlation,
  max(value) FILTER (WHERE metric = 'policy/clipfrac_avg') AS clip_fraction,
  max(value) FILTER (WHERE metric = 'policy/approxkl_avg') AS approx_kl,
  max(value) FILTER (WHERE metric = 'val/explained_variance') AS explained_variance,
  max(value) FILTER (WHERE metric = 'policy/gradient_norm') AS gradient_norm
FROM ppo_metrics
GROUP BY run_id, iteration;

-- One row per prompt of a run of PPO: its first and its last response.
CREATE OR REPLACE TEMPORARY VIEW before_after AS
SELECT run_id, prompt,
  min(iteration) AS first_iteration,
  min_by(response, iteration) AS first_response,
  min_by(score, iteration) AS first_score,
  max(iteration) AS last_iteration,
  max_by(response, iteration) AS last_response,
  max_by(score, iteration) AS last_score,
  max_by(kl, iteration) AS last_kl
FROM rollouts
WHERE sample = 0
GROUP BY run_id, prompt
HAVING max(iteration) > min(iteration);

-- One row per response that two reward models have scored.
CREATE OR REPLACE TEMPORARY VIEW score_pairs AS
SELECT a.run_id AS run_a, b.run_id AS run_b, a.model AS model_a, b.model AS model_b,
  a.row_id, a.prompt, a.response, a.score AS score_a, b.score AS score_b
FROM scores AS a
JOIN scores AS b ON a.row_id = b.row_id AND a.response = b.response AND a.run_id < b.run_id;
