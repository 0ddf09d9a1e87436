-- How far do people agree? Below an alpha of 0.67 single votes say little.
SELECT run_id, source, kind, metric, round(value, 3) AS value, round(low, 3) AS low, round(high, 3) AS high, units
FROM agreement
ORDER BY run_id, source, kind, metric;
