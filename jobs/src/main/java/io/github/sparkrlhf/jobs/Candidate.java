package io.github.sparkrlhf.jobs;

import static org.apache.spark.sql.functions.col;

import io.github.sparkrlhf.spark.JobFailure;
import io.github.sparkrlhf.tables.Json;
import io.github.sparkrlhf.tables.Run;
import io.github.sparkrlhf.tables.Table;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.functions;

/**
 * A policy to evaluate: its responses in the table {@code rollouts}.
 *
 * @param name as the command gives it
 * @param run that has the responses
 * @param directory of the policy that gave them; null if it was never written
 * @param exact the column with the log-probabilities of the policy; null if what was sampled from
 *     is another distribution
 * @param rows its responses: prompt, response, prompt_tokens, response_tokens, stopped and {@code
 *     exact}, in the order of their ids
 */
record Candidate(String name, String run, String directory, String exact, List<Row> rows) {
  private static final Map<String, Double> AS_IT_IS =
      Map.of(
          "temperature", 1.0, "top-k", 0.0, "top-p", 1.0, "min-p", 0.0, "repetition-penalty", 1.0);

  /**
   * @param given {@code NAME=RUN} or {@code NAME=RUN@ITERATION}
   */
  static Candidate read(JobContext context, String given) {
    String[] parts = given.split("=|@(?=\\d+$)", -1);
    Map<String, Object> configuration = configuration(context, parts[1]);
    Optional<Integer> ofPpo = lastIteration(context, parts[1]);
    boolean ppo = ofPpo.isPresent();
    Dataset<Row> rows = context.tables().rows(Table.ROLLOUTS, parts[1]);
    String directory = String.valueOf(configuration.get("policy"));
    if (ppo) {
      int last = ofPpo.get();
      int iteration = parts.length > 2 ? Integer.parseInt(parts[2]) : last;
      rows = rows.where(col(Run.ITERATION).equalTo(iteration));
      if (iteration == last) {
        directory = Path.of(String.valueOf(configuration.get("output")), "policy").toString();
      } else if (iteration > 0) {
        directory = null;
      }
    }
    boolean asItIs =
        AS_IT_IS.entrySet().stream()
            .allMatch(
                option ->
                    !(configuration.get(option.getKey()) instanceof Number number)
                        || number.doubleValue() == option.getValue());
    String exact = !asItIs ? null : ppo ? "logprobs" : "sampler_logprobs";
    List<Row> found =
        rows.orderBy("prompt_id", "sample", "rollout_id")
            .select(
                "prompt",
                "response",
                "prompt_tokens",
                "response_tokens",
                "stopped",
                ppo ? "logprobs" : "sampler_logprobs")
            .collectAsList();
    if (found.isEmpty()) {
      throw JobFailure.usage("Cannot evaluate " + given + ": there are no such responses");
    }
    return new Candidate(parts[0], parts[1], directory, exact, found);
  }

  private static Map<String, Object> configuration(JobContext context, String run) {
    return Json.parsed(context.tables().configurationOf(run).orElseThrow());
  }

  /** The iteration of the final policy's responses; empty if it is no run of {@code ppo}. */
  static Optional<Integer> lastIteration(JobContext context, String run) {
    return configuration(context, run).containsKey("iterations")
        ? Optional.of(
            context
                .tables()
                .rows(Table.ROLLOUTS, run)
                .agg(functions.max(Run.ITERATION))
                .first()
                .getInt(0))
        : Optional.empty();
  }

  Set<String> prompts() {
    return rows.stream().map(row -> row.<String>getAs("prompt")).collect(Collectors.toSet());
  }

  /** Only the responses to these prompts. */
  Candidate of(Set<String> prompts) {
    return new Candidate(
        name,
        run,
        directory,
        exact,
        rows.stream().filter(row -> prompts.contains(row.<String>getAs("prompt"))).toList());
  }
}
