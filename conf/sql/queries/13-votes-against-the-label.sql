-- Who votes most against what the pair comes to, ties and undecided pairs left out?
SELECT v.run_id, annotator_id, count(*) AS votes, round(avg(if(v.preferred = p.chosen, 1, 0)), 3) AS agree_with_label,
  round(avg(if(v.choice = 'a', 1, 0)), 3) AS first_shown
FROM votes AS v
JOIN pairs AS p ON p.run_id = v.run_id AND p.pair_id = v.pair_id
WHERE p.decided AND v.preferred IS NOT NULL
GROUP BY v.run_id, annotator_id
ORDER BY agree_with_label, v.run_id, annotator_id
LIMIT 20;
