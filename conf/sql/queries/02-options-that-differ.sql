-- In which options do the runs of one job differ?
SELECT job, option, collect_list(concat(run_id, ': ', value)) AS values
FROM (SELECT * FROM run_options ORDER BY run_id)
WHERE option <> 'inputs'
GROUP BY job, option
HAVING count(DISTINCT value) > 1
ORDER BY job, option;
