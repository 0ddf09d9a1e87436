package io.github.sparkrlhf.reward;

import io.github.sparkrlhf.lm.LanguageModel;
import io.github.sparkrlhf.lm.ModelDirectories;
import io.github.sparkrlhf.lm.Tokenizer;
import io.github.sparkrlhf.lm.TokenizerFile;
import io.github.sparkrlhf.lm.TransformerConfig;
import io.github.sparkrlhf.lm.WeightType;
import io.github.sparkrlhf.spark.JobFailure;
import io.github.sparkrlhf.spark.StableHash;
import java.io.Serializable;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.api.java.function.MapFunction;
import org.apache.spark.api.java.function.MapPartitionsFunction;
import org.apache.spark.broadcast.Broadcast;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Encoders;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.api.java.UDF2;
import org.apache.spark.sql.functions;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.unsafe.hash.Murmur3_x86_32;
import scala.Tuple2;

/**
 * A transformer with a classification head. The model is broadcast once; every executor thread has
 * a replica.
 *
 * <p>In bulk, equal token sequences are scored once, and batches hold sequences of similar length:
 * which ones is decided by how many there are of each length, and by their hashes ({@link
 * ScoringPlan}). So a score depends on the model, the row and the other rows of the table, these in
 * its last bits only, and on nothing else.
 */
public final class TransformerRewardModel implements RewardModel {
  /** The name of this kind. */
  public static final String KIND = "transformer";

  private static final int ROWS_PER_PART = 1 << 13;
  private static final String UNIT = "scoring_unit";
  private static final String TASK = "scoring_task";
  private static final String TOKENS = "scoring_tokens";
  private static final StructType PLAN =
      StructType.fromDDL(
          "%s INT NOT NULL, %s INT NOT NULL, %s ARRAY<INT> NOT NULL".formatted(UNIT, TASK, TOKENS));

  /** The seed with which Spark hashes rows into partitions. */
  private static final int PARTITIONING_SEED = 42;

  private final LanguageModel model;
  private final ModelDirectories.Writer files;
  private Broadcast<Shipped> broadcast;

  /** What every executor needs. */
  private record Shipped(TransformerConfig config, float[] weights, TokenizerFile tokenizer)
      implements Serializable {
    int[] tokens(String prompt, String response) {
      return RewardInput.tokens(Tokenizer.of(tokenizer), prompt, response, config.maxPositions());
    }
  }

  /**
   * A reward model.
   *
   * @param model with a classification head
   */
  public TransformerRewardModel(LanguageModel model) {
    this(model, files -> model.writeFiles(files, WeightType.F32));
  }

  /**
   * A reward model that is written in another form than whole.
   *
   * @param model with a classification head
   * @param files writes what it is read from again
   */
  public TransformerRewardModel(LanguageModel model, ModelDirectories.Writer files) {
    this.model = model;
    this.files = files;
  }

  /** The transformer, with its weights and its tokenizer. */
  public LanguageModel model() {
    return model;
  }

  @Override
  public String kind() {
    return KIND;
  }

  @Override
  public Dataset<Row> score(Dataset<Row> rows) {
    int prompt = rows.schema().fieldIndex(PROMPT);
    int response = rows.schema().fieldIndex(RESPONSE);
    JavaSparkContext context =
        JavaSparkContext.fromSparkContext(rows.sparkSession().sparkContext());
    Broadcast<Shipped> shipped = shipped(context);
    Map<Integer, Long> counts =
        rows.select(PROMPT, RESPONSE)
            .javaRDD()
            .mapToPair(
                row ->
                    new Tuple2<>(
                        cell(shipped.value().tokens(row.getString(0), row.getString(1))), 1L))
            .reduceByKey(Long::sum, context.defaultParallelism())
            .collectAsMap();
    ScoringPlan plan = ScoringPlan.of(new TreeMap<>(counts), context.defaultParallelism());
    Broadcast<ScoringPlan> sharedPlan = context.broadcast(plan);
    int[] keys = partitionKeys(plan.tasks());
    MapFunction<Row, Row> planned =
        row -> {
          int[] tokens = shipped.value().tokens(row.getString(prompt), row.getString(response));
          int unit = sharedPlan.value().unit(cell(tokens));
          return appended(row, unit, keys[sharedPlan.value().task(unit)], tokens);
        };
    int width = rows.schema().size();
    MapPartitionsFunction<Row, Row> scored =
        partition ->
            new ScoredSequences(
                partition, shipped.value().config(), shipped.value().weights(), width);
    return rows.map(planned, Encoders.row(rows.schema().merge(PLAN, true)))
        .repartition(plan.tasks(), functions.col(TASK))
        .sortWithinPartitions(
            functions.col(UNIT), functions.size(functions.col(TOKENS)), functions.col(TOKENS))
        .mapPartitions(scored, Encoders.row(rows.schema().add(SCORE, DataTypes.DoubleType, false)));
  }

  @Override
  public Column truncated() {
    TokenizerFile file = model.tokenizer();
    int maxTokens = model.config().maxPositions();
    UDF2<String, String, Boolean> truncates =
        (prompt, response) ->
            RewardInput.truncates(Tokenizer.of(file), prompt, response, maxTokens);
    return functions
        .udf(truncates, DataTypes.BooleanType)
        .apply(functions.col(PROMPT), functions.col(RESPONSE));
  }

  @Override
  public int rowsPerPart() {
    return ROWS_PER_PART;
  }

  @Override
  public String chatTemplate() {
    String own = model.tokenizer().chatTemplate();
    return own == null ? TokenizerFile.CHAT_TEMPLATE : own;
  }

  private static int cell(int[] tokens) {
    return ScoringPlan.cell(tokens.length, StableHash.of(tokens));
  }

  private static Row appended(Row row, Object... more) {
    Object[] values = new Object[row.size() + more.length];
    for (int i = 0; i < row.size(); i++) {
      values[i] = row.get(i);
    }
    System.arraycopy(more, 0, values, row.size(), more.length);
    return RowFactory.create(values);
  }

  /**
   * For each partition a number that Spark's hash partitioning sends there. Were it sent elsewhere,
   * the scores would be the same, and the tasks less even.
   */
  private static int[] partitionKeys(int partitions) {
    int[] keys = new int[partitions];
    boolean[] found = new boolean[partitions];
    int missing = partitions;
    for (int key = 0; missing > 0; key++) {
      int partition = Math.floorMod(Murmur3_x86_32.hashInt(key, PARTITIONING_SEED), partitions);
      if (!found[partition]) {
        found[partition] = true;
        keys[partition] = key;
        missing--;
      }
    }
    return keys;
  }

  @Override
  public TextScorer scorer(JavaSparkContext context) {
    Broadcast<Shipped> shipped = shipped(context);
    return (prompt, response) -> {
      Shipped read = shipped.value();
      List<int[]> sequences = List.of(read.tokens(prompt, response));
      return ScoredSequences.scores(read.config(), read.weights(), sequences)[0];
    };
  }

  private synchronized Broadcast<Shipped> shipped(JavaSparkContext context) {
    if (broadcast == null) {
      broadcast =
          context.broadcast(new Shipped(model.config(), model.weights(), model.tokenizer()));
    }
    return broadcast;
  }

  @Override
  public void save(Path directory, Map<String, Object> provenance) {
    RewardModels.write(
        directory,
        provenance,
        RewardModels.header(KIND),
        beside -> {
          files.write(beside);
          Files.writeString(
              beside.resolve("serving.properties"), RewardBlockFactory.SERVING_PROPERTIES);
        });
  }

  /**
   * Reads a directory of a model with a classification head.
   *
   * @throws JobFailure if the model has another head
   */
  static TransformerRewardModel load(Path directory) {
    LanguageModel model = LanguageModel.load(directory);
    if (model.config().head() != TransformerConfig.Head.SEQUENCE_CLASSIFICATION) {
      throw JobFailure.usage(
          "Cannot read reward model in " + directory + ": it is a language model without score");
    }
    return new TransformerRewardModel(model);
  }
}
