-- Why could rows of the log not be used?
SELECT run_id, source, reason, count(*) AS rows, round(count(*) / sum(count(*)) OVER (PARTITION BY run_id), 3) AS share
FROM quarantine
GROUP BY run_id, source, reason
ORDER BY run_id, rows DESC, source, reason;
