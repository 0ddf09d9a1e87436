package io.github.sparkrlhf.ppo;

import io.github.sparkrlhf.lm.LanguageModel;
import io.github.sparkrlhf.policy.Rollout;
import io.github.sparkrlhf.spark.JobFailure;
import io.github.sparkrlhf.training.Checkpoint;
import io.github.sparkrlhf.training.FloatArray;
import io.github.sparkrlhf.training.Progress;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Function;
import org.apache.spark.broadcast.Broadcast;
import org.apache.spark.sql.Row;

/**
 * Recomputes past updates from what a run has left: from the rows of its responses, without
 * sampling and without a reward model, and compares with what it has left, bit by bit.
 */
public final class PpoReplay {
  private final PpoTrainer trainer;

  /** What a run has left. */
  public interface Past {
    /** How many iterations it had; one more iteration of responses is the final policy's. */
    int iterations();

    /** The rows of the table {@code rollouts} of an iteration, in the order they were written. */
    List<Row> rollouts(int iteration);

    /** The metrics of an iteration by name. */
    Map<String, Double> metrics(int iteration);

    /** The checkpoint after so many iterations, if it is still there. */
    Optional<Checkpoint> checkpoint(int iterations);

    /** The models after the last iteration, policy first; empty if they are gone. */
    List<LanguageModel> models();
  }

  /**
   * What was recomputed, beside what the run has left.
   *
   * @param iteration that it belongs to
   * @param what is compared
   * @param numbers how many there are
   * @param different how many of them differ in at least one bit
   * @param greatest the greatest difference; NaN if there are more or fewer numbers than the run
   *     has left
   */
  public record Comparison(
      int iteration, String what, long numbers, long different, double greatest) {

    static Comparison of(int iteration, String what, List<float[]> found, List<float[]> left) {
      long numbers = 0;
      long different = 0;
      double greatest = 0;
      for (int row = 0; row < found.size(); row++) {
        float[] one = found.get(row);
        float[] other = left.get(row);
        if (one.length != other.length) {
          return new Comparison(iteration, what, numbers + one.length, one.length, Double.NaN);
        }
        numbers += one.length;
        for (int i = 0; i < one.length; i++) {
          if (Float.floatToIntBits(one[i]) != Float.floatToIntBits(other[i])) {
            different++;
            greatest = Math.max(greatest, Math.abs((double) one[i] - other[i]));
          }
        }
      }
      return new Comparison(iteration, what, numbers, different, greatest);
    }

    static Comparison of(int iteration, String what, double[] found, double[] left) {
      long different = 0;
      double greatest = 0;
      for (int i = 0; i < found.length; i++) {
        if (Double.doubleToLongBits(found[i]) != Double.doubleToLongBits(left[i])) {
          different++;
          greatest = Math.max(greatest, Math.abs(found[i] - left[i]));
        }
      }
      return new Comparison(iteration, what, found.length, different, greatest);
    }
  }

  /**
   * A replay.
   *
   * @param trainer of the run's networks and settings; its reward model is not asked
   */
  public PpoReplay(PpoTrainer trainer) {
    this.trainer = trainer;
  }

  /**
   * Recomputes iterations, from the newest checkpoint before them or else from the beginning, and
   * compares: log-probabilities and values with those of a forward pass; KL, rewards, advantages
   * and returns with those that follow from log-probabilities, values and scores; and what the
   * update leads to with the run's metrics, checkpoint and models.
   *
   * @param first the first iteration that is compared
   * @param last the last one; that after the updates, of the final policy, has none
   * @throws JobFailure if the run has left no rows of an iteration
   */
  public List<Comparison> run(int first, int last, Past past, Progress progress) {
    Optional<Checkpoint> start = Optional.empty();
    for (int iteration = first; iteration > 0 && start.isEmpty(); iteration--) {
      start = past.checkpoint(iteration);
    }
    PpoState state = PpoState.start(trainer.networks, trainer.settings, start);
    Broadcast<FloatArray> own = trainer.ownReference();
    try {
      Broadcast<FloatArray> reference = trainer.networks.base().orElse(own);
      List<Comparison> comparisons = new ArrayList<>();
      while (state.iteration <= last) {
        int iteration = state.iteration;
        List<Comparison> found = iterate(state, reference, past, iteration >= first);
        comparisons.addAll(found);
        progress.step(iteration + 1L, found.isEmpty() ? "recomputed" : described(found));
        if (iteration == past.iterations()) {
          break;
        }
      }
      return comparisons;
    } finally {
      if (own != null) {
        own.destroy();
      }
    }
  }

  private static String described(List<Comparison> found) {
    long different = found.stream().mapToLong(Comparison::different).sum();
    long numbers = found.stream().mapToLong(Comparison::numbers).sum();
    return different == 0
        ? "%,d numbers are the same to the last bit".formatted(numbers)
        : "%,d of %,d numbers differ".formatted(different, numbers);
  }

  private List<Comparison> iterate(
      PpoState state, Broadcast<FloatArray> reference, Past past, boolean compared) {
    int iteration = state.iteration;
    List<Row> rows = past.rollouts(iteration);
    if (rows.isEmpty()) {
      throw JobFailure.failure("Cannot replay: there are no rows of iteration " + iteration);
    }
    List<Rollout> rollouts = rows.stream().map(PpoReplay::rollout).toList();
    List<ForwardPass.Outputs> outputs = rows.stream().map(PpoReplay::outputs).toList();
    double[] scores = rows.stream().mapToDouble(row -> row.<Double>getAs("score")).toArray();
    double coefficient = state.kl.coefficient();
    Experience experience =
        new Experience(rollouts, outputs, scores, trainer.settings, coefficient);
    List<Comparison> found = new ArrayList<>();
    if (compared) {
      found.addAll(forward(iteration, outputs, trainer.update.outputs(state, reference, rollouts)));
      found.addAll(derived(iteration, rows, experience));
    }
    Map<String, Double> metrics = experience.metrics(trainer.settings, coefficient);
    boolean updated = iteration < past.iterations();
    if (updated) {
      // The watcher is a reward model, too, and is not asked.
      Optional.ofNullable(past.metrics(iteration).get(Watchdog.WATCHED))
          .ifPresent(watched -> metrics.put(Watchdog.WATCHED, watched));
      trainer.learn(state, experience, metrics);
      metrics.keySet().removeIf(IterationReport::isTiming);
    }
    if (compared) {
      found.add(ofMetrics(iteration, metrics, past.metrics(iteration)));
      found.addAll(updated ? after(state, past) : List.of());
    }
    return found;
  }

  private static List<Comparison> forward(
      int iteration, List<ForwardPass.Outputs> left, List<ForwardPass.Outputs> unordered) {
    Map<String, ForwardPass.Outputs> byId = new HashMap<>();
    unordered.forEach(output -> byId.put(output.id(), output));
    List<ForwardPass.Outputs> found = left.stream().map(row -> byId.get(row.id())).toList();
    List<Comparison> comparisons = new ArrayList<>();
    comparisons.add(
        compared(iteration, "logprobs", found, left, ForwardPass.Outputs::logProbabilities));
    comparisons.add(
        compared(iteration, "ref_logprobs", found, left, ForwardPass.Outputs::reference));
    if (left.get(0).values() != null) {
      comparisons.add(compared(iteration, "values", found, left, ForwardPass.Outputs::values));
    }
    return comparisons;
  }

  private static Comparison compared(
      int iteration,
      String what,
      List<ForwardPass.Outputs> found,
      List<ForwardPass.Outputs> left,
      Function<ForwardPass.Outputs, float[]> field) {
    return Comparison.of(
        iteration, what, found.stream().map(field).toList(), left.stream().map(field).toList());
  }

  private static List<Comparison> derived(int iteration, List<Row> rows, Experience experience) {
    List<Comparison> comparisons = new ArrayList<>();
    double[] kl = rows.stream().mapToDouble(row -> row.<Double>getAs("kl")).toArray();
    comparisons.add(Comparison.of(iteration, "kl", experience.kl, kl));
    comparisons.add(ofColumn(iteration, "rewards", experience.rewards, rows));
    comparisons.add(ofColumn(iteration, "advantages", experience.advantages, rows));
    if (floats(rows.get(0), "returns") != null) {
      comparisons.add(ofColumn(iteration, "returns", experience.returns, rows));
    }
    return comparisons;
  }

  private static Comparison ofColumn(
      int iteration, String column, float[][] found, List<Row> rows) {
    return Comparison.of(
        iteration, column, List.of(found), rows.stream().map(row -> floats(row, column)).toList());
  }

  private static Comparison ofMetrics(
      int iteration, Map<String, Double> found, Map<String, Double> left) {
    return Comparison.of(
        iteration,
        "metrics",
        found.values().stream().mapToDouble(value -> value).toArray(),
        found.keySet().stream().mapToDouble(name -> left.getOrDefault(name, Double.NaN)).toArray());
  }

  /** The weights after an update, where the run has left them. */
  private List<Comparison> after(PpoState state, Past past) {
    int iteration = state.iteration - 1;
    List<Comparison> comparisons = new ArrayList<>();
    Checkpoint found = state.checkpoint();
    past.checkpoint(state.iteration)
        .ifPresent(
            left -> {
              comparisons.add(
                  Comparison.of(
                      iteration,
                      "weights of the checkpoint",
                      List.of(found.weights()),
                      List.of(left.weights())));
              for (String moment : left.moments().keySet()) {
                comparisons.add(
                    Comparison.of(
                        iteration,
                        "moments " + moment + " of the checkpoint",
                        List.of(found.moments().get(moment)),
                        List.of(left.moments().get(moment))));
              }
            });
    if (state.iteration == past.iterations()) {
      List<LanguageModel> models = past.models();
      List<LanguageModel> recomputed = PpoModels.trained(trainer.networks, state.weights);
      for (int model = 0; model < models.size(); model++) {
        comparisons.add(
            Comparison.of(
                iteration,
                "weights of the " + (model == PpoModels.POLICY ? "policy" : "critic"),
                List.of(recomputed.get(model).weights()),
                List.of(models.get(model).weights())));
      }
    }
    return comparisons;
  }

  private static Rollout rollout(Row row) {
    return new Rollout(
        row.getAs("rollout_id"),
        row.getAs("prompt_id"),
        row.<Integer>getAs("sample"),
        integers(row, "prompt_tokens"),
        integers(row, "response_tokens"),
        row.<Boolean>getAs("stopped"),
        floats(row, "sampler_logprobs"));
  }

  private static ForwardPass.Outputs outputs(Row row) {
    return new ForwardPass.Outputs(
        row.getAs("rollout_id"),
        floats(row, "logprobs"),
        floats(row, "ref_logprobs"),
        floats(row, "values"));
  }

  private static int[] integers(Row row, String column) {
    return row.<Integer>getList(row.fieldIndex(column)).stream().mapToInt(i -> i).toArray();
  }

  /** Null if the column is. */
  private static float[] floats(Row row, String column) {
    int index = row.fieldIndex(column);
    if (row.isNullAt(index)) {
      return null;
    }
    List<Float> list = row.getList(index);
    float[] values = new float[list.size()];
    for (int i = 0; i < values.length; i++) {
      values[i] = list.get(i);
    }
    return values;
  }
}
