-- Who of those with enough votes is least to be trusted, and why?
SELECT run_id, annotator_id, votes, round(weight, 2) AS weight, round(accuracy, 2) AS accuracy,
  round(agreement, 2) AS agreement, round(position_bias, 2) AS position_bias, spam_reason
FROM annotators
WHERE votes >= 20
ORDER BY run_id, weight, annotator_id
LIMIT 20;
