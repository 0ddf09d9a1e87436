package io.github.sparkrlhf.reward;

import ai.djl.ndarray.NDManager;
import io.github.sparkrlhf.lm.GradMode;
import io.github.sparkrlhf.lm.LanguageModel;
import io.github.sparkrlhf.lm.ModelDirectories;
import io.github.sparkrlhf.lm.ReplicaPool;
import io.github.sparkrlhf.lm.SequenceBatch;
import io.github.sparkrlhf.lm.Tokenizer;
import io.github.sparkrlhf.lm.TokenizerFile;
import io.github.sparkrlhf.lm.TransformerConfig;
import io.github.sparkrlhf.lm.WeightType;
import io.github.sparkrlhf.spark.JobFailure;
import java.io.Serializable;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.NoSuchElementException;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.api.java.function.MapPartitionsFunction;
import org.apache.spark.broadcast.Broadcast;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Encoders;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.functions;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;

/**
 * A transformer with a classification head. The model is broadcast once; every executor thread has
 * a replica; batches hold texts of similar length and are always cut the same way.
 */
public final class TransformerRewardModel implements RewardModel {
  /** The name of this kind. */
  public static final String KIND = "transformer";

  private static final int BATCH = 32;

  /** Partitions of the scoring, whatever the cluster; one holds many batches of sorted lengths. */
  private static final int PARTITIONS = 64;

  /** Fewer rows are scored in a partition of their own. */
  private static final int FEWEST_ROWS = 8 * BATCH;

  private final LanguageModel model;
  private final ModelDirectories.Writer files;
  private Broadcast<Shipped> broadcast;

  /** What every executor needs. */
  private record Shipped(TransformerConfig config, float[] weights, TokenizerFile tokenizer)
      implements Serializable {}

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
    StructType schema = rows.schema().add(SCORE, DataTypes.DoubleType, false);
    int prompt = rows.schema().fieldIndex(PROMPT);
    int response = rows.schema().fieldIndex(RESPONSE);
    Broadcast<Shipped> shipped = shipped(rows);
    int partitions =
        (int)
            Math.min(
                PARTITIONS,
                Math.max(2, rows.limit(FEWEST_ROWS * PARTITIONS).count() / FEWEST_ROWS));
    // The partition of a text and its place there depend on the text alone: batches are cut the
    // same way whatever the cluster.
    MapPartitionsFunction<Row, Row> scored =
        partition -> new ScoredRows(partition, shipped.value(), prompt, response);
    return rows.repartition(partitions, functions.col(PROMPT), functions.col(RESPONSE))
        .sortWithinPartitions(
            functions.expr("length(" + PROMPT + ") + length(" + RESPONSE + ")"),
            functions.col(PROMPT),
            functions.col(RESPONSE))
        .mapPartitions(scored, Encoders.row(schema));
  }

  private synchronized Broadcast<Shipped> shipped(Dataset<Row> rows) {
    if (broadcast == null) {
      broadcast =
          JavaSparkContext.fromSparkContext(rows.sparkSession().sparkContext())
              .broadcast(new Shipped(model.config(), model.weights(), model.tokenizer()));
    }
    return broadcast;
  }

  @Override
  public void save(Path directory, Map<String, Object> provenance) {
    RewardModels.write(directory, provenance, RewardModels.header(KIND), files);
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

  /** Scores rows as they are asked for, a batch of distinct texts at a time. */
  private static final class ScoredRows implements Iterator<Row> {
    private final Iterator<Row> rows;
    private final Shipped shipped;
    private final Tokenizer tokenizer;
    private final int prompt;
    private final int response;
    private final List<Row> pending = new ArrayList<>();
    private Iterator<Row> scored = List.<Row>of().iterator();
    private Row next;

    ScoredRows(Iterator<Row> rows, Shipped shipped, int prompt, int response) {
      this.rows = rows;
      this.shipped = shipped;
      this.tokenizer = Tokenizer.of(shipped.tokenizer());
      this.prompt = prompt;
      this.response = response;
    }

    @Override
    public boolean hasNext() {
      if (!scored.hasNext()) {
        scored = batch();
      }
      return scored.hasNext();
    }

    @Override
    public Row next() {
      if (!hasNext()) {
        throw new NoSuchElementException();
      }
      return scored.next();
    }

    /** Equal texts are neighbours; they share one place in the batch, hence one score. */
    private Iterator<Row> batch() {
      pending.clear();
      List<int[]> sequences = new ArrayList<>();
      List<Integer> places = new ArrayList<>();
      while (next != null || rows.hasNext()) {
        Row row = next != null ? next : rows.next();
        next = null;
        Row last = pending.isEmpty() ? null : pending.get(pending.size() - 1);
        if (last == null || !sameText(last, row)) {
          if (sequences.size() == BATCH) {
            next = row;
            break;
          }
          sequences.add(
              RewardInput.tokens(
                  tokenizer,
                  row.getString(prompt),
                  row.getString(response),
                  shipped.config().maxPositions()));
        }
        pending.add(row);
        places.add(sequences.size() - 1);
      }
      if (pending.isEmpty()) {
        return List.<Row>of().iterator();
      }
      float[] scores = scores(sequences);
      List<Row> batch = new ArrayList<>();
      for (int i = 0; i < pending.size(); i++) {
        batch.add(withScore(pending.get(i), scores[places.get(i)]));
      }
      return batch.iterator();
    }

    private boolean sameText(Row first, Row second) {
      return first.getString(prompt).equals(second.getString(prompt))
          && first.getString(response).equals(second.getString(response));
    }

    private float[] scores(List<int[]> sequences) {
      try (ReplicaPool.Lease lease = ReplicaPool.lease(shipped.config(), shipped.weights(), 0);
          GradMode ignored = GradMode.inference();
          NDManager manager = lease.replica().newManager()) {
        return SequenceBatch.atLastTokens(sequences)
            .outputs(lease.replica(), manager, false)
            .toFloatArray();
      }
    }

    private static Row withScore(Row row, double score) {
      Object[] values = new Object[row.size() + 1];
      for (int i = 0; i < row.size(); i++) {
        values[i] = row.get(i);
      }
      values[row.size()] = score;
      return RowFactory.create(values);
    }
  }
}
