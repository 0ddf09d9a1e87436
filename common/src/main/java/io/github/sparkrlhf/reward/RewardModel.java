package io.github.sparkrlhf.reward;

import io.github.sparkrlhf.spark.JobFailure;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.functions;

/**
 * A function from (prompt, response) to a scalar reward, higher for what people prefer. PPO,
 * scoring, calibration and evaluation see this interface and nothing else.
 */
public interface RewardModel {
  /** The column with the prompt, a string. */
  String PROMPT = "prompt";

  /** The column with the response, a string. */
  String RESPONSE = "response";

  /** The column that {@link #score} adds, a double. */
  String SCORE = "score";

  /** The name of the kind, such as {@code bradley-terry} or {@code transformer}. */
  String kind();

  /**
   * Scores rows in bulk.
   *
   * @param rows any columns, among them {@link #PROMPT} and {@link #RESPONSE}, not null; without a
   *     column {@link #SCORE}
   * @return the same rows in any order, with the column {@link #SCORE} added; the scores do not
   *     depend on partitioning, row order or the number of executors
   */
  Dataset<Row> score(Dataset<Row> rows);

  /**
   * What the model's features count, the greatest absolute weight first: coefficients of a linear
   * model, importances of a forest. Empty for a model that has no such numbers.
   *
   * @param texts rows with {@link #PROMPT} and {@link #RESPONSE}: hash buckets are named by the
   *     terms in them
   * @param most how many at most
   */
  default List<FeatureWeight> featureWeights(Dataset<Row> texts, int most) {
    return List.of();
  }

  /**
   * Whether a row's texts are longer than the model reads: a condition on {@link #PROMPT} and
   * {@link #RESPONSE}.
   */
  default Column truncated() {
    return functions.lit(false);
  }

  /**
   * The model as a function that runs on executors.
   *
   * @throws JobFailure usage, if this kind scores whole tables only
   */
  default TextScorer scorer(JavaSparkContext context) {
    throw JobFailure.usage(
        "Cannot score single rows: a reward model of kind '" + kind() + "' scores tables");
  }

  /** About how many rows are scored in half a minute or more on a core: worth a commit. */
  default int rowsPerPart() {
    return 1 << 17;
  }

  /** The chat template in which the model reads a prompt; null if it reads plain text. */
  default String chatTemplate() {
    return null;
  }

  /**
   * Writes the model to a directory that does not exist yet: JSON and safetensors only.
   *
   * @param provenance what {@code rlhf.json} says: run, inputs, configuration, metrics
   * @throws io.github.sparkrlhf.spark.JobFailure if the directory cannot be written
   */
  void save(Path directory, Map<String, Object> provenance);
}
