-- Which prompts gained most from PPO, and which lost? Scores are scaled ones of the reward model.
SELECT run_id, prompt, first_iteration, first_response, last_iteration, last_response,
  round(first_score, 2) AS first_score, round(last_score, 2) AS last_score, round(last_score - first_score, 2) AS gain
FROM before_after
ORDER BY gain DESC, run_id, prompt
LIMIT 20;
