-- How long do people take, and are the quick ones worse?
SELECT v.run_id, ntile AS quarter, count(*) AS votes, round(percentile(seconds, 0.5), 1) AS median_seconds,
  round(avg(if(preferred = p.chosen, 1, 0)), 3) AS agree_with_label
FROM (SELECT *, ntile(4) OVER (PARTITION BY run_id ORDER BY seconds, feedback_id) AS ntile FROM votes WHERE preferred IS NOT NULL) AS v
JOIN pairs AS p ON p.run_id = v.run_id AND p.pair_id = v.pair_id
GROUP BY v.run_id, ntile
ORDER BY v.run_id, ntile;
