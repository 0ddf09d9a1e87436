-- On which pairs with several votes do people disagree most?
SELECT run_id, pair_id, prompt, chosen, rejected, votes, round(vote_share, 2) AS vote_share, round(probability, 2) AS probability
FROM pairs
WHERE votes >= 3
ORDER BY abs(vote_share - 0.5), votes DESC, pair_id
LIMIT 20;
