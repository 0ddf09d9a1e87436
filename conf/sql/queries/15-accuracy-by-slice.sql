-- Where is a reward model right, and where not? Slices of 20 pairs and more.
SELECT run_id, model, slice, slice_value, round(value, 3) AS accuracy, round(low, 3) AS low, round(high, 3) AS high, n
FROM reward_metrics
WHERE split = 'test' AND metric = 'accuracy' AND n >= 20
ORDER BY run_id, slice, slice_value;
