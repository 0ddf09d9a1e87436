package io.github.sparkrlhf.jobs;

import io.github.sparkrlhf.policy.Rollout;
import io.github.sparkrlhf.tables.Table;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.types.StructType;

/** Rows of the table {@code rollouts} that were sampled and nothing else: no reward, no update. */
final class RolloutRows {
  private static final StructType SCHEMA = Table.ROLLOUTS.schemaWithoutRun();

  private RolloutRows() {}

  /** A row with null in all columns that only an update fills. */
  static Row sampled(int iteration, Rollout rollout, String prompt, String response) {
    Object[] values = new Object[SCHEMA.size()];
    values[SCHEMA.fieldIndex("iteration")] = iteration;
    values[SCHEMA.fieldIndex("rollout_id")] = rollout.id();
    values[SCHEMA.fieldIndex("prompt_id")] = rollout.promptId();
    values[SCHEMA.fieldIndex("sample")] = rollout.sample();
    values[SCHEMA.fieldIndex("prompt")] = prompt;
    values[SCHEMA.fieldIndex("response")] = response;
    values[SCHEMA.fieldIndex("prompt_tokens")] = rollout.prompt();
    values[SCHEMA.fieldIndex("response_tokens")] = rollout.response();
    values[SCHEMA.fieldIndex("stopped")] = rollout.stopped();
    values[SCHEMA.fieldIndex("sampler_logprobs")] = rollout.samplerLogProbabilities();
    return RowFactory.create(values);
  }
}
