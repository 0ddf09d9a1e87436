package io.github.sparkrlhf.reward;

import static org.apache.spark.sql.functions.col;

import io.github.sparkrlhf.lm.ModelDirectories;
import io.github.sparkrlhf.spark.JobFailure;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Map;
import org.apache.hadoop.conf.Configuration;
import org.apache.spark.ml.Model;
import org.apache.spark.ml.param.Param;
import org.apache.spark.ml.param.ParamMap;
import org.apache.spark.ml.util.DefaultParamsReader;
import org.apache.spark.ml.util.DefaultParamsReader$;
import org.apache.spark.ml.util.DefaultParamsWriter$;
import org.apache.spark.ml.util.Identifiable$;
import org.apache.spark.ml.util.MLReader;
import org.apache.spark.ml.util.MLWritable;
import org.apache.spark.ml.util.MLWriter;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;

/**
 * A reward model of any kind as a transformer of Spark ML, which adds the column {@code score}. For
 * rows with a response that is its reward; for pairs, rows without a response but with {@code
 * chosen} and {@code rejected}, it is the reward of the one minus that of the other. Saved, it is
 * Spark's metadata beside the model's own directory.
 */
public final class RewardModelTransformer extends Model<RewardModelTransformer>
    implements MLWritable {
  private static final long serialVersionUID = 1L;
  private static final String DIRECTORY = "reward";
  private static final String OTHER_SCORE = "score_of_rejected";

  private final String uid;
  private final transient RewardModel model;
  private final Param<String> promptCol;
  private final Param<String> responseCol;
  private final Param<String> chosenCol;
  private final Param<String> rejectedCol;

  /** A transformer that scores by the model. */
  public RewardModelTransformer(RewardModel model) {
    this(Identifiable$.MODULE$.randomUID("rewardModel"), model);
  }

  private RewardModelTransformer(String uid, RewardModel model) {
    this.uid = uid;
    this.model = model;
    promptCol = new Param<>(this, "promptCol", "column of the prompt");
    responseCol = new Param<>(this, "responseCol", "column of the response");
    chosenCol = new Param<>(this, "chosenCol", "column of the better response of a pair");
    rejectedCol = new Param<>(this, "rejectedCol", "column of the other response of a pair");
    setDefault(promptCol, RewardModel.PROMPT);
    setDefault(responseCol, RewardModel.RESPONSE);
    setDefault(chosenCol, "chosen");
    setDefault(rejectedCol, "rejected");
  }

  @Override
  public String uid() {
    return uid;
  }

  /** The model that scores. */
  public RewardModel model() {
    return model;
  }

  /** The column of the prompt. */
  public Param<String> promptCol() {
    return promptCol;
  }

  /** The column of the response. */
  public Param<String> responseCol() {
    return responseCol;
  }

  /** The column of the better response of a pair. */
  public Param<String> chosenCol() {
    return chosenCol;
  }

  /** The column of the other response of a pair. */
  public Param<String> rejectedCol() {
    return rejectedCol;
  }

  /** Sets a param, such as {@code with(transformer.responseCol(), "answer")}. */
  public <T> RewardModelTransformer with(Param<T> param, T value) {
    set(param, value);
    return this;
  }

  @Override
  public Dataset<Row> transform(Dataset<?> dataset) {
    transformSchema(dataset.schema());
    Dataset<Row> rows = dataset.toDF();
    if (Arrays.asList(rows.columns()).contains(getOrDefault(responseCol))) {
      return scored(rows, getOrDefault(responseCol));
    }
    Dataset<Row> both =
        scored(
            scored(rows, getOrDefault(rejectedCol))
                .withColumnRenamed(RewardModel.SCORE, OTHER_SCORE),
            getOrDefault(chosenCol));
    return both.withColumn(RewardModel.SCORE, col(RewardModel.SCORE).minus(col(OTHER_SCORE)))
        .drop(OTHER_SCORE);
  }

  /**
   * The rows with the scores of the responses in a column, whatever it and the prompt's are called.
   */
  private Dataset<Row> scored(Dataset<Row> rows, String response) {
    String prompt = getOrDefault(promptCol);
    return model
        .score(
            rows.withColumnRenamed(prompt, RewardModel.PROMPT)
                .withColumnRenamed(response, RewardModel.RESPONSE))
        .withColumnRenamed(RewardModel.PROMPT, prompt)
        .withColumnRenamed(RewardModel.RESPONSE, response);
  }

  @Override
  public StructType transformSchema(StructType schema) {
    schema.fieldIndex(getOrDefault(promptCol));
    if (!Arrays.asList(schema.fieldNames()).contains(getOrDefault(responseCol))) {
      schema.fieldIndex(getOrDefault(chosenCol));
      schema.fieldIndex(getOrDefault(rejectedCol));
    }
    return withScore(schema);
  }

  static StructType withScore(StructType schema) {
    if (Arrays.asList(schema.fieldNames()).contains(RewardModel.SCORE)) {
      throw JobFailure.usage("Cannot score rows: they have a column score already");
    }
    return schema.add(RewardModel.SCORE, DataTypes.DoubleType);
  }

  @Override
  public RewardModelTransformer copy(ParamMap extra) {
    return copyValues(new RewardModelTransformer(uid, model), extra).setParent(parent());
  }

  @Override
  public MLWriter write() {
    return new Writer(this);
  }

  /** Reads what {@link #write} wrote. */
  public static MLReader<RewardModelTransformer> read() {
    return new Reader();
  }

  /** Reads what {@code save} wrote. */
  public static RewardModelTransformer load(String path) {
    return read().load(path);
  }

  /** A folder of this machine that is gone afterwards. */
  private static Path temporaryFolder() {
    try {
      return Files.createTempDirectory("reward-model");
    } catch (IOException e) {
      throw JobFailure.failure("Cannot make a temporary folder: " + e, e);
    }
  }

  private static org.apache.hadoop.fs.Path local(Path path) {
    return new org.apache.hadoop.fs.Path(path.toUri());
  }

  /** Writes by way of a local folder, because Spark's paths can be anywhere. */
  private static final class Writer extends MLWriter {
    private final RewardModelTransformer instance;

    Writer(RewardModelTransformer instance) {
      this.instance = instance;
    }

    @Override
    public void saveImpl(String path) {
      DefaultParamsWriter$.MODULE$.saveMetadata(
          instance, path, sc(), scala.Option.empty(), scala.Option.empty());
      Path temporary = temporaryFolder();
      try {
        instance.model.save(temporary.resolve(DIRECTORY), Map.of());
        Configuration hadoop = sc().hadoopConfiguration();
        org.apache.hadoop.fs.Path target = new org.apache.hadoop.fs.Path(path, DIRECTORY);
        target.getFileSystem(hadoop).copyFromLocalFile(local(temporary.resolve(DIRECTORY)), target);
      } catch (IOException e) {
        throw JobFailure.failure("Cannot write reward model " + path + ": " + e, e);
      } finally {
        ModelDirectories.deleteTree(temporary);
      }
    }
  }

  private static final class Reader extends MLReader<RewardModelTransformer> {
    @Override
    public RewardModelTransformer load(String path) {
      DefaultParamsReader.Metadata metadata =
          DefaultParamsReader$.MODULE$.loadMetadata(
              path, sc(), RewardModelTransformer.class.getName());
      Path temporary = temporaryFolder();
      try {
        org.apache.hadoop.fs.Path source = new org.apache.hadoop.fs.Path(path, DIRECTORY);
        source
            .getFileSystem(sc().hadoopConfiguration())
            .copyToLocalFile(source, local(temporary.resolve(DIRECTORY)));
        RewardModelTransformer loaded =
            new RewardModelTransformer(
                metadata.uid(), RewardModels.load(temporary.resolve(DIRECTORY)));
        metadata.getAndSetParams(loaded, scala.Option.empty());
        return loaded;
      } catch (IOException e) {
        throw JobFailure.failure("Cannot read reward model " + path + ": " + e, e);
      } finally {
        ModelDirectories.deleteTree(temporary);
      }
    }
  }
}
