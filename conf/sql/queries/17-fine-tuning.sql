-- How did the loss of fine-tuning fall, epoch by epoch?
SELECT run_id, epoch, count(*) AS steps, round(avg(value), 3) AS loss, round(min_by(value, step), 3) AS first, round(max_by(value, step), 3) AS last
FROM sft_metrics
WHERE metric = 'loss'
GROUP BY run_id, epoch
ORDER BY run_id, epoch;
