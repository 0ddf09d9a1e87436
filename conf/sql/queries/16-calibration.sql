-- Is a reward model as sure as it should be? Before and after temperature scaling.
SELECT run_id, model, method, bin, n, round(predicted, 3) AS predicted, round(observed, 3) AS observed, round(observed - predicted, 3) AS difference
FROM reliability
WHERE split = 'test' AND method IN ('none', 'temperature')
ORDER BY run_id, method, bin;
