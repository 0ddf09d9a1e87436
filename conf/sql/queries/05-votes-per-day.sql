-- How many votes came on each day, and from how many people?
SELECT run_id, to_date(created_at) AS day, count(*) AS votes, count(DISTINCT annotator_id) AS annotators
FROM comparisons
GROUP BY run_id, to_date(created_at)
ORDER BY run_id, day;
