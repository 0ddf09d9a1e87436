-- One row of the log for each reason, as it stood there.
SELECT run_id, reason, min(feedback_id) AS feedback_id, min_by(detail, feedback_id) AS detail, min_by(row, feedback_id) AS row
FROM quarantine
GROUP BY run_id, reason
ORDER BY run_id, reason;
