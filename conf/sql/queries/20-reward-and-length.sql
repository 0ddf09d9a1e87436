-- Does the policy get its reward by length? By iteration: correlation, and the longest against the shortest half.
SELECT run_id, iteration, count(*) AS responses, round(corr(length, score), 3) AS correlation,
  round(avg(if(half = 1, score, NULL)), 3) AS score_of_short, round(avg(if(half = 2, score, NULL)), 3) AS score_of_long
FROM (
  SELECT run_id, iteration, score, size(response_tokens) AS length,
    ntile(2) OVER (PARTITION BY run_id, iteration ORDER BY size(response_tokens), rollout_id) AS half
  FROM rollouts
  WHERE score IS NOT NULL)
GROUP BY run_id, iteration
ORDER BY run_id, iteration;
