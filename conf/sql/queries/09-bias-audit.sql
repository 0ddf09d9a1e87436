-- How often are rules right that do not read the text?
SELECT run_id, rule, split, round(accuracy, 3) AS accuracy, round(low, 3) AS low, round(high, 3) AS high, n
FROM bias_audit
WHERE source = 'all'
ORDER BY run_id, rule, split;
