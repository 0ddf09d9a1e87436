-- What the training jobs of one date learn from: the rows of its run of pairs and of no other.
-- ${spark.rlhf.run} is the setting of this name, which the DAG gives. A statement that has been run does nothing.

CREATE TABLE IF NOT EXISTS examples_${spark.rlhf.run} AS
SELECT prompt, chosen, rejected FROM pairs WHERE run_id = 'pairs-${spark.rlhf.run}' AND split = 'train';

CREATE TABLE IF NOT EXISTS training_prompts_${spark.rlhf.run} AS
SELECT DISTINCT prompt FROM pairs WHERE run_id = 'pairs-${spark.rlhf.run}' AND split = 'train';

CREATE TABLE IF NOT EXISTS test_prompts_${spark.rlhf.run} AS
SELECT DISTINCT prompt FROM pairs WHERE run_id = 'pairs-${spark.rlhf.run}' AND split = 'test';
