-- How many people does each rule flag, and how much of the votes is theirs?
SELECT run_id, coalesce(spam_reason, 'not flagged') AS reason, count(*) AS annotators, sum(votes) AS votes,
  round(sum(votes) / sum(sum(votes)) OVER (PARTITION BY run_id), 3) AS share_of_votes
FROM annotators
GROUP BY run_id, coalesce(spam_reason, 'not flagged')
ORDER BY run_id, annotators DESC, reason;
