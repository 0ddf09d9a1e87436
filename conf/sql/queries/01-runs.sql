-- What has been run, and how long did each run take?
SELECT run_id, job, started_at, round((unix_timestamp(completed_at) - unix_timestamp(started_at)) / 60, 1) AS minutes, version
FROM runs
ORDER BY completed_at;
