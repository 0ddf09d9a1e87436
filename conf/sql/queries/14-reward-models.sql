-- Which reward model is the best on pairs that it was not trained on?
SELECT model, kind, pairs, round(accuracy, 3) AS accuracy, round(low, 3) AS low, round(high, 3) AS high,
  round(lift_over_longer, 3) AS lift_over_longer, round(log_loss, 3) AS log_loss, round(ece, 3) AS ece,
  round(length_correlation, 2) AS length_correlation, run_id
FROM reward_models
ORDER BY accuracy DESC, run_id;
