-- Where does the estimated truth, which knows who voted, contradict the majority of the votes?
SELECT run_id, split, count(*) AS pairs, count_if(vote_share < 0.5) AS against_the_majority,
  round(count_if(vote_share < 0.5) / count(*), 4) AS share
FROM pairs
WHERE decided
GROUP BY run_id, split
ORDER BY run_id, split;
