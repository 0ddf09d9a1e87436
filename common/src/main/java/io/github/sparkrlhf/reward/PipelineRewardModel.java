package io.github.sparkrlhf.reward;

import static org.apache.spark.sql.functions.col;

import io.github.sparkrlhf.spark.JobFailure;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashSet;
import java.util.Map;
import java.util.Set;
import org.apache.spark.ml.Transformer;
import org.apache.spark.ml.util.MLWritable;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.functions;
import org.apache.spark.sql.types.NumericType;
import org.apache.spark.sql.types.StructType;

/**
 * Any Spark ML transformer that adds a number {@code score} to rows with prompt and response, such
 * as a fitted pipeline of a user's own.
 */
public final class PipelineRewardModel implements RewardModel {
  /** The name of the kind. */
  public static final String KIND = "pipeline";

  private static final String STAGES = "pipeline";

  private final Transformer transformer;

  /**
   * A reward model.
   *
   * @param transformer reads the columns prompt and response, adds {@code score}; whatever else it
   *     adds is dropped
   */
  public PipelineRewardModel(Transformer transformer) {
    this.transformer = transformer;
  }

  @Override
  public String kind() {
    return KIND;
  }

  @Override
  public Dataset<Row> score(Dataset<Row> rows) {
    Dataset<Row> transformed = transformer.transform(rows);
    StructType schema = transformed.schema();
    if (!Arrays.asList(schema.fieldNames()).contains(SCORE)
        || !(schema.apply(SCORE).dataType() instanceof NumericType)) {
      throw JobFailure.usage(
          "Cannot score by pipeline %s: it adds no number named %s"
              .formatted(transformer.uid(), SCORE));
    }
    Set<Column> columns = new LinkedHashSet<>();
    for (String name : rows.columns()) {
      columns.add(functions.col("`" + name.replace("`", "``") + "`"));
    }
    columns.add(col(SCORE).cast("double").as(SCORE));
    return transformed.select(columns.toArray(Column[]::new));
  }

  @Override
  public void save(Path directory, Map<String, Object> provenance) {
    if (!(transformer instanceof MLWritable writable)) {
      throw JobFailure.usage(
          "Cannot write reward model %s: pipeline %s cannot be saved"
              .formatted(directory, transformer.uid()));
    }
    RewardModels.write(
        directory,
        provenance,
        RewardModels.header(KIND),
        beside -> writable.write().save(beside.resolve(STAGES).toUri().toString()));
  }

  /** Reads what {@link #save} wrote. */
  static PipelineRewardModel load(Path directory) {
    return read(directory.resolve(STAGES));
  }

  /**
   * Reads a directory that Spark ML saved, if all classes that it names are allowed: see {@link
   * PipelineDirectory}.
   *
   * @throws JobFailure if one is not, or it is no such directory
   */
  public static PipelineRewardModel read(Path directory) {
    try {
      return new PipelineRewardModel(PipelineDirectory.load(directory));
    } catch (IOException e) {
      throw JobFailure.failure("Cannot read pipeline " + directory + ": " + e, e);
    }
  }
}
