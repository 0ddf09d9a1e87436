-- What lies in each split, and does anything lie in two?
SELECT run_id, split, share, `groups`, pairs, comparisons, shared_groups + shared_prompts + shared_near_duplicates + shared_pairs AS shared
FROM splits
ORDER BY run_id, split;
