-- What did PPO do, iteration by iteration?
SELECT run_id, iteration, round(reward, 3) AS reward, round(kl, 2) AS kl, round(sqrt(greatest(kl, 0)), 2) AS root_kl, round(entropy, 2) AS entropy,
  round(length, 1) AS length, round(truncated_share, 3) AS truncated_share, round(clip_fraction, 3) AS clip_fraction
FROM ppo_curves
ORDER BY run_id, iteration;
