-- Which responses does one reward model rank much higher than another?
SELECT model_a, model_b, prompt, response, round(rank_a, 3) AS rank_a, round(rank_b, 3) AS rank_b
FROM (
  SELECT *, percent_rank() OVER (PARTITION BY run_a, run_b ORDER BY score_a) AS rank_a,
    percent_rank() OVER (PARTITION BY run_a, run_b ORDER BY score_b) AS rank_b
  FROM score_pairs)
ORDER BY abs(rank_a - rank_b) DESC, prompt, response
LIMIT 20;
